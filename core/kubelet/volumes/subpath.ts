import { constants } from 'node:fs';
import { join, sep } from 'node:path';
import { type Files, systemFiles } from '#base';

/**
 * A path below a volume that no link leads out of. Missing folders are made, each one checked. Symbolic links on the way
 * are followed only when what they lead to is inside the volume. Throws otherwise.
 * Between this check and the engine's mount a process in the pod could still swap a folder for a link; the path returned
 * is the resolved one, so that such a link has to be made in the very last part.
 */
export async function resolveSubPath(volume: string, subPath: string, files: Files = systemFiles): Promise<string> {
  const { chmod, lstat, mkdir, open, realpath } = files;
  if (subPath.startsWith('/')) throw new Error(`error SubPath \`${subPath}\` must not be an absolute path`);
  const parts = subPath.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new Error(`unable to provision SubPath \`${subPath}\`: must not contain '..'`);
  const root = await realpath(volume);
  const mode = (await lstat(root)).mode & 0o7777;
  let current = root;
  for (const part of parts) {
    const next = join(current, part);
    const state = await lstat(next).catch(() => undefined);
    if (!state) {
      await mkdir(next);
      await chmod(next, mode);
    }
    current = await realpath(next);
    if (current !== root && !current.startsWith(root + sep))
      throw new Error(`subpath ${JSON.stringify(subPath)} leads out of its volume`);
  }
  const handle = await open(current, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  await handle?.close();
  return current;
}
