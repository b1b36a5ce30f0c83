import { existsSync } from 'node:fs';
import { copyFile, lstat, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { messageOf, ownProgram, PintleError, systemExec, systemFiles } from '#base';
import { type Bundle, readBundle } from '../host/bundle.ts';
import { manifestFile, parseManifest } from '../host/manifest.ts';
import { fetchArtifact } from './oci.ts';
import { buildPlugin } from './plugin-build.ts';
import { foreignManifest } from './plugin-foreign.ts';
import { tarFiles, unzipped } from './tar.ts';

const npmMsMax = 120_000;
const kinds =
  'a folder with plugin.ts, manifest.json or plugin.json, a .tgz, npm:NAME@VERSION or oci:HOST/REPOSITORY:TAG';

/**
 * What a source stands for, verified: a source folder (built first), a built folder, a tarball, `npm:NAME[@VERSION]` or
 * `oci:HOST/REPOSITORY[:TAG][@sha256:…]`. Nothing of it is run but what `build` runs. `wanted` pins the digest of the
 * bundle; `configFolder` may hold an .npmrc. Throws PLUGIN_SOURCE, BUNDLE_INVALID, BUNDLE_MODIFIED, PLUGIN_BUILD.
 */
export async function bundleFrom(source: string, work: string, wanted?: string, configFolder = '.'): Promise<Bundle> {
  const folder = await folderFrom(source, work, configFolder);
  if (!existsSync(join(folder, manifestFile)) && isSource(folder)) {
    const built = await buildPlugin(folder, join(work, 'built'));
    return readBundle(built.folder, systemFiles, wanted);
  }
  return readBundle(folder, systemFiles, wanted);
}

const isSource = (folder: string): boolean =>
  existsSync(join(folder, 'plugin.ts')) || existsSync(join(folder, foreignManifest));

async function folderFrom(source: string, work: string, configFolder: string): Promise<string> {
  if (source.startsWith('npm:')) return fromNpm(source.slice(4), work, configFolder);
  if (source.startsWith('oci:')) return unpack(await fetchArtifact(source.slice(4)), join(work, 'unpacked'));
  const path = resolve(source);
  if (isSource(path) || existsSync(join(path, manifestFile))) return path;
  if (/\.(tgz|tar\.gz|tar)$/.test(path) && existsSync(path))
    return unpack(await readFile(path), join(work, 'unpacked'));
  throw new PintleError('PLUGIN_SOURCE', `${source} is no source of a plugin`, `name ${kinds}`);
}

/** Into a fresh folder. Archives of package managers hold everything below package/. */
async function unpack(bytes: Uint8Array, out: string): Promise<string> {
  const files = tarFiles(
    await unzipped(bytes).catch((error: unknown) => {
      if (error instanceof PintleError) throw error;
      throw new PintleError(
        'PLUGIN_SOURCE',
        `the archive cannot be read: ${messageOf(error)}`,
        'make it with: tar -czf NAME.tgz -C dist .',
      );
    }),
  );
  for (const { path, content } of files) {
    await mkdir(dirname(join(out, path)), { recursive: true });
    await writeFile(join(out, path), content);
  }
  return onlyListed(bundleIn(out, join(out, 'package')), `${out}-bundle`);
}

/** By Bun as its package manager: the registry, scopes and tokens that are configured for npm, its checks, no scripts. */
async function fromNpm(name: string, work: string, configFolder: string): Promise<string> {
  if (!/^(@\w[\w.-]*\/)?\w[\w.-]*(@[\w.^~*+-]+)?$/.test(name))
    throw new PintleError(
      'PLUGIN_SOURCE',
      `${JSON.stringify(name)} names no npm package`,
      'write npm:NAME or npm:NAME@1.2.0',
    );
  const place = join(work, 'npm');
  await mkdir(place, { recursive: true });
  await writeFile(join(place, 'package.json'), '{"private":true}');
  for (const file of ['.npmrc', 'bunfig.toml'])
    if (existsSync(join(configFolder, file))) await copyFile(join(configFolder, file), join(place, file));
  const argv = ['add', '--ignore-scripts', '--no-progress', '--no-summary', '--cache-dir', join(work, 'cache'), name];
  const result = await systemExec.run([ownProgram(), ...argv, '--cwd', place], { timeoutMs: npmMsMax });
  if (result.code !== 0)
    throw new PintleError(
      'PLUGIN_SOURCE',
      `the npm package ${name} was not fetched: ${result.stderr.trim().split('\n').slice(-3).join(' ')}`,
      'check its name, and the registry in .npmrc',
    );
  const installed = join(place, 'node_modules', name.replace(/(?<=.)@[^@/]*$/, ''));
  return onlyListed(bundleIn(installed, join(installed, 'dist')), join(work, 'package'));
}

function bundleIn(...folders: readonly string[]): string {
  const found = folders.find((folder) => existsSync(join(folder, manifestFile)));
  if (found) return found;
  throw new PintleError(
    'BUNDLE_INVALID',
    `what was fetched holds no ${manifestFile}`,
    'its author makes it with: ./pintle plugin build',
  );
}

/** A package brings a README and more beside the bundle: only what the manifest lists is taken. */
async function onlyListed(from: string, to: string): Promise<string> {
  const text = await readFile(join(from, manifestFile), 'utf8');
  const { files } = parseManifest(text);
  await mkdir(to, { recursive: true });
  await writeFile(join(to, manifestFile), text);
  for (const path of Object.keys(files)) {
    if (!(await lstat(join(from, path)).catch(() => undefined))?.isFile()) continue; // readBundle says what is missing
    await mkdir(dirname(join(to, path)), { recursive: true });
    await copyFile(join(from, path), join(to, path));
  }
  return to;
}
