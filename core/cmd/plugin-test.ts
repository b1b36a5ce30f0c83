import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ownProgram, PintleError } from '#base';
import { linkSdk, ownFolder } from './plugin-sdk.ts';

const preload = join(ownFolder, 'core/testing/author/chaos-preload.ts');
/** Virtual time is quick, loaded machines are not. */
const testMsMax = 60_000;
const chaosMsMax = 600_000;

/** Runs the tests of a plugin's folder; with chaos each is run again with every fault. Throws PLUGIN_TESTS_FAILED. */
export async function testPlugin(folder: string, { chaos = false }: { readonly chaos?: boolean }): Promise<void> {
  const at = resolve(folder);
  if (!existsSync(join(at, 'plugin.ts')))
    throw new PintleError('PLUGIN_BUILD', `${folder} has no plugin.ts`, 'name the folder of a plugin');
  await linkSdk(at);
  const argv = [
    ownProgram(),
    'test',
    '--timeout',
    String(chaos ? chaosMsMax : testMsMax),
    ...(chaos ? ['--preload', preload] : []),
    './',
  ];
  const child = Bun.spawn(argv, { cwd: at, stdin: 'ignore', stdout: 'inherit', stderr: 'inherit' });
  const code = await child.exited;
  if (code === 0) return;
  throw new PintleError(
    'PLUGIN_TESTS_FAILED',
    `the tests of ${folder} failed`,
    chaos
      ? 'a report above names the write after which the plugin was killed: look at what it keeps in memory, and at what it does twice'
      : 'see above; bun test in the folder runs them too',
  );
}
