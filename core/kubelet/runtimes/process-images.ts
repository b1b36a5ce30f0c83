import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ownUserId } from '#base';
import { ImageError, type ImageInfo } from '#sdk';
import { parseImageReference } from './image-reference.ts';

/**
 * An image of the process runtime: `HOME/images/<name>/image.json` and the tree `root/` beside it. There is no
 * chroot: programs are looked up in the tree first, then on the host; `{root}` in a word stands for the tree's path.
 */
export interface ProcessImage {
  readonly names: readonly string[];
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir?: string;
}
export interface FoundImage extends ProcessImage {
  readonly info: ImageInfo;
  readonly root: string;
  readonly folder: string;
}

export const imageFolder = (home: string, name: string) =>
  join(home, 'images', name.replaceAll(/[^a-zA-Z0-9.-]/g, '_'));

export function listImages(home: string, userId = ownUserId()): FoundImage[] {
  const folder = join(home, 'images');
  if (!existsSync(folder)) return [];
  const found: FoundImage[] = [];
  for (const name of readdirSync(folder)) {
    const file = join(folder, name, 'image.json');
    if (!existsSync(file)) continue;
    const text = readFileSync(file, 'utf8');
    const image = JSON.parse(text) as ProcessImage;
    const id = `sha256:${createHash('sha256').update(text).digest('hex')}`;
    found.push({
      ...image,
      // Programs run as this user: runAsNonRoot is kept without root.
      info: {
        id,
        names: image.names,
        sizeBytes: statSync(file).size,
        ...(userId === 0 ? {} : { user: String(userId) }),
      },
      root: join(folder, name, 'root'),
      folder: join(folder, name),
    });
  }
  return found;
}

export function findImage(home: string, image: string): FoundImage | undefined {
  const reference = parseImageReference(image);
  const full = typeof reference === 'string' || reference.digest ? image : `${reference.name}:${reference.tag}`;
  return listImages(home).find(
    (each) => each.info.id === image || each.names.some((name) => name === image || name === full),
  );
}

export function ensureProcessImage(
  home: string,
  image: string,
  policy: 'Always' | 'IfNotPresent' | 'Never',
): ImageInfo {
  const found = findImage(home, image);
  if (found) return found.info; // also with Always: there is nowhere to pull from
  const reference = parseImageReference(image);
  if (typeof reference === 'string' && !/^(sha256:)?[0-9a-f]{64}$/.test(image))
    throw new ImageError(
      'InvalidImageName',
      `Failed to apply default image tag "${image}": couldn't parse image name "${image}": ${reference}`,
    );
  if (policy === 'Never')
    throw new ImageError('ErrImageNeverPull', `Container image "${image}" is not present with pull policy of Never`);
  throw new ImageError(
    'ErrImagePull',
    `the process runtime cannot pull "${image}": an image is an unpacked tree under ${join(home, 'images')}; run "pintle image demo" for ${'pintle/demo:local'}, or start the cluster with a container engine ("pintle up --runtime docker")`,
  );
}

export function removeProcessImage(home: string, id: string): void {
  for (const image of listImages(home))
    if (image.info.id === id) rmSync(image.folder, { recursive: true, force: true });
}
