import { dirname, join } from 'node:path';
import { type Files, systemFiles } from '#base';
import type { Payload } from './payload.ts';

const unchanged = -1 >>> 0; // what chown(2) takes for "leave it"

/**
 * Makes a folder hold exactly these files, all at once: they live in a folder of their own, `..data` points at it, and
 * the visible names point through `..data`. A reader sees the old set or the new one, never a mixture.
 * Returns false when nothing had to change. `group` becomes the owner group (fsGroup).
 */
export async function writeAtomically(
  folder: string,
  files: Payload,
  options: { readonly stamp: string; readonly group?: number; readonly disk?: Files },
): Promise<boolean> {
  const disk = options.disk ?? systemFiles;
  const { chmod, chown, mkdir, readdir, readlink, rename, rm, symlink, writeFile } = disk;
  await mkdir(folder, { recursive: true });
  const current = await readlink(join(folder, '..data')).catch(() => undefined);
  if (current && (await holds(join(folder, current), files, disk))) return false;
  const fresh = `..${options.stamp}`;
  const root = join(folder, fresh);
  await rm(root, { recursive: true, force: true });
  await mkdir(root, { recursive: true });
  await chmod(root, 0o755);
  for (const [path, { bytes, mode, user = unchanged }] of files) {
    const target = join(root, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, bytes);
    const group = options.group;
    if (user !== unchanged) await chown(target, user, group ?? unchanged);
    else if (group !== undefined) await chown(target, user, group).catch(() => {}); // without root the group stays ours
    await chmod(target, group === undefined ? mode : mode | (mode & 0o444 ? 0o040 : 0));
  }
  await rm(join(folder, '..data_tmp'), { force: true });
  await symlink(fresh, join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  await linkVisible(folder, files, disk);
  for (const name of await readdir(folder))
    if (name.startsWith('..') && name !== '..data' && name !== fresh)
      await rm(join(folder, name), { recursive: true, force: true });
  return true;
}

async function linkVisible(folder: string, files: Payload, { lstat, readdir, rm, symlink }: Files): Promise<void> {
  const tops = new Set([...files.keys()].map((path) => path.split('/')[0]!));
  for (const name of await readdir(folder))
    if (!name.startsWith('..') && !tops.has(name)) await rm(join(folder, name), { recursive: true, force: true });
  for (const name of tops) {
    const link = join(folder, name);
    if (!(await lstat(link).catch(() => undefined))) await symlink(join('..data', name), link);
  }
}

async function holds(root: string, files: Payload, { lstat, readdir, readFile }: Files): Promise<boolean> {
  let count = 0;
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (entry.isFile()) count++;
  }
  if (count !== files.size) return false;
  for (const [path, { bytes, mode }] of files) {
    const state = await lstat(join(root, path)).catch(() => undefined);
    if (!state || (state.mode & mode) !== mode) return false;
    if (!(await readFile(join(root, path))).equals(bytes)) return false;
  }
  return true;
}
