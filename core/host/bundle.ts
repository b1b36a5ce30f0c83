import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Files, PintleError } from '#base';
import { manifestFile, type PluginManifest, parseManifest } from './manifest.ts';

export interface Bundle {
  readonly folder: string;
  readonly manifest: PluginManifest;
  /** `sha256:` of plugin.json, which holds the digests of all other files. */
  readonly digest: string;
}
const filesMax = 1_000;
const bytesMax = 64 * 1024 * 1024;
export const sha256Of = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/**
 * Reads a built plugin without running any of it: every file must be a plain one, listed, and as it was when built.
 * Throws BUNDLE_INVALID (no bundle, or not one that can be used) and BUNDLE_MODIFIED (a file differs, or a digest that is wanted).
 */
export async function readBundle(folder: string, files: Files, wantedDigest?: string): Promise<Bundle> {
  const bytes = await files.readFile(join(folder, manifestFile)).catch(() => undefined);
  if (!bytes)
    throw new PintleError(
      'BUNDLE_INVALID',
      `${folder} holds no ${manifestFile}`,
      'build the plugin: ./pintle plugin build FOLDER',
    );
  const digest = `sha256:${sha256Of(bytes)}`;
  if (wantedDigest !== undefined && digest !== wantedDigest)
    throw modified(`${join(folder, manifestFile)} has digest ${digest}, not ${wantedDigest}`);
  const manifest = parseManifest(bytes.toString('utf8'));
  const found = await plainFiles(folder, files);
  for (const path of found)
    if (path !== manifestFile && !(path in manifest.files))
      throw modified(`${join(folder, path)} is not listed in ${manifestFile}`);
  let total = 0;
  for (const [path, wanted] of Object.entries(manifest.files)) {
    if (!found.includes(path)) throw modified(`${join(folder, path)} is missing`);
    const content = await files.readFile(join(folder, path));
    total += content.length;
    if (total > bytesMax)
      throw new PintleError('BUNDLE_INVALID', `${folder} holds more than ${bytesMax} bytes`, 'make the plugin smaller');
    if (sha256Of(content) !== wanted) throw modified(`${join(folder, path)} is not as it was built`);
  }
  return { folder, manifest, digest };
}

const modified = (message: string): PintleError =>
  new PintleError('BUNDLE_MODIFIED', message, 'install the plugin again from a source that you trust');

/** Relative paths of everything below; a link or a device is refused, because its content is somebody else's. */
async function plainFiles(folder: string, files: Files, below = ''): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await files.readdir(join(folder, below), { withFileTypes: true })) {
    const path = below ? `${below}/${entry.name}` : entry.name;
    if (entry.isDirectory()) found.push(...(await plainFiles(folder, files, path)));
    else if (entry.isFile()) found.push(path);
    else throw modified(`${join(folder, path)} is neither a plain file nor a folder`);
    if (found.length > filesMax) throw modified(`${folder} holds more than ${filesMax} files`);
  }
  return found;
}
