import { existsSync } from 'node:fs';
import { lstat, mkdir, readlink, realpath, rm, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { messageOf, PintleError } from '#base';

/** The program's own folder: what `pintle/sdk` and `pintle/sdk/testing` of a plugin under work are. */
export const ownFolder = resolve(import.meta.dir, '../..');

/**
 * Makes `import … from "pintle/sdk"` in this folder mean the SDK of this program, for Bun, tsc and editors alike: a link
 * in node_modules, unless the folder lies in the program's own. Throws PLUGIN_BUILD when it cannot be written.
 */
export async function linkSdk(folder: string): Promise<void> {
  const at = await realpath(folder);
  if (at === ownFolder || at.startsWith(`${ownFolder}/`)) return;
  try {
    await link(ownFolder, join(folder, 'node_modules', 'pintle'));
    const types = join(ownFolder, 'node_modules', '@types', 'bun');
    if (existsSync(types)) await link(await realpath(types), join(folder, 'node_modules', '@types', 'bun'));
  } catch (error) {
    throw new PintleError(
      'PLUGIN_BUILD',
      `${folder}/node_modules cannot be written: ${messageOf(error)}`,
      'work in a folder of your own',
    );
  }
}

/** A folder that a package manager made stays: the author has chosen his own version. */
async function link(target: string, path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (there && !there.isSymbolicLink()) return;
  if (there && (await readlink(path)) === target) return;
  await rm(path, { force: true });
  await mkdir(resolve(path, '..'), { recursive: true });
  await symlink(target, path);
}
