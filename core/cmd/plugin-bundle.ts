import { realpathSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';
import { PintleError } from '#base';

const repository = realpathSync(resolve(import.meta.dir, '../..'));
interface MetaFile {
  /** By path, relative to where this process stands. `format` tells code from what is taken over as data. */
  readonly inputs: Readonly<Record<string, { readonly format?: string }>>;
}

/**
 * What a plugin's author wrote, as one file. Nothing of it is run while it is bundled: macros are refused, and so is data of
 * this machine from outside the plugin's folder, which would leave with the bundle. Throws PLUGIN_BUILD.
 */
export async function bundleSource(folder: string, source: string, config: Bun.BuildConfig): Promise<string> {
  const unlisted = { macros: false }; // not in Bun's types; their functions would run here, outside any sandbox
  const result = await Bun.build({ ...config, ...unlisted, throw: false, metafile: true });
  if (!result.success) {
    const words = result.logs.map(({ message }) => message).join('; ');
    const hint = words.includes('Macros are disabled')
      ? 'compute it in setup(), or before the build'
      : `mend ${source}`;
    throw refused(words, hint);
  }
  const stray = strays(result.metafile as unknown as MetaFile, realpathSync(folder), repository, process.cwd());
  if (stray.length > 0)
    throw refused(`it takes ${stray.join(', ')} from outside its folder`, 'put a copy into the folder of the plugin');
  return result.outputs[0]!.text();
}
const refused = (message: string, next: string): PintleError =>
  new PintleError('PLUGIN_BUILD', `the plugin cannot be built: ${message}`, next);

/** Data, not code, from neither the plugin's folder, nor its packages, nor the SDK's. Pure. */
export function strays({ inputs }: MetaFile, folder: string, sdk: string, cwd: string): string[] {
  const within = (path: string, place: string): boolean => path.startsWith(place + sep);
  const isCode = (format: string | undefined): boolean => format === 'esm' || format === 'cjs';
  return Object.entries(inputs)
    .filter(([, { format }]) => !isCode(format))
    .map(([path]) => resolve(cwd, path))
    .filter((path) => ![folder, sdk].some((place) => within(path, place)) && !path.includes(`${sep}node_modules${sep}`))
    .map((path) => relative(folder, path));
}
