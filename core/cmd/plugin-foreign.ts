import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { messageOf, PintleError, systemFiles } from '#base';
import { type Bundle, readBundle, sha256Of } from '../host/bundle.ts';
import { manifestFile, type PluginManifest, protocolVersion } from '../host/manifest.ts';

/** Of a plugin in another language: plugin.json without what can be computed. */
export const foreignManifest = 'manifest.json';
const notPacked = new Set([foreignManifest, manifestFile, 'dist', 'node_modules', '__pycache__', 'README.md']);

/**
 * A bundle of what is in FOLDER, with the digests of its files; nothing of it is run. manifest.json gives what only its
 * author knows: name, version, sdk, container, needs, provides. Throws PLUGIN_BUILD.
 */
export async function buildForeign(source: string, out: string): Promise<Bundle> {
  const folder = resolve(source);
  const work = await mkdtemp(join(tmpdir(), 'pintle-build-'));
  try {
    const given = await readGiven(join(folder, foreignManifest));
    const files: Record<string, string> = {};
    for (const { name, parentPath } of await listed(folder)) {
      const path = join(parentPath, name).slice(folder.length + 1);
      const bytes = await readFile(join(parentPath, name));
      await mkdir(resolve(work, path, '..'), { recursive: true });
      await writeFile(join(work, path), bytes);
      files[path] = sha256Of(bytes);
    }
    const manifest = {
      formatVersion: 1,
      protocol: protocolVersion,
      placement: 'cluster',
      isolation: 'container',
      requires: [],
      needs: {},
      resources: [],
      ...given,
      limits: { memoryMiB: 128, ...given.limits },
      provides: { controllers: [], validates: [], mutates: [], schedules: [], ...given.provides },
      files,
    } as unknown as PluginManifest;
    await writeFile(join(work, manifestFile), `${JSON.stringify(manifest, undefined, 2)}\n`);
    await readBundle(work, systemFiles).catch((error: unknown) => {
      throw failed(messageOf(error).replace(manifestFile, foreignManifest));
    });
    return await putBundle(work, out);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
/** In place of what was in OUT. */
export async function putBundle(work: string, out: string): Promise<Bundle> {
  await rm(out, { recursive: true, force: true });
  await mkdir(resolve(out, '..'), { recursive: true });
  await rename(work, out).catch(() => cp(work, out, { recursive: true })); // another file system
  return readBundle(out, systemFiles);
}
const failed = (message: string): PintleError =>
  new PintleError(
    'PLUGIN_BUILD',
    `the plugin cannot be built: ${message}`,
    'docs/plugins/protocol.md says what manifest.json holds',
  );

async function readGiven(path: string): Promise<Partial<PluginManifest>> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Partial<PluginManifest>;
    throw new Error('it holds no object');
  } catch (error) {
    throw failed(`${foreignManifest}: ${messageOf(error)}`);
  }
}

/** Plain files; what begins with a dot is the author's own. */
async function listed(folder: string) {
  const isPacked = (path: string): boolean =>
    path.split('/').every((part) => !part.startsWith('.') && !notPacked.has(part));
  const all = await readdir(folder, { withFileTypes: true, recursive: true });
  return all.filter((one) => one.isFile() && isPacked(join(one.parentPath, one.name).slice(folder.length + 1)));
}
