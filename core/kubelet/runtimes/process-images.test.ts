import { afterAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureProcessImage, findImage, imageFolder, listImages } from './process-images.ts';

const home = mkdtempSync(join(tmpdir(), 'pintle-images-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));
const folder = imageFolder(home, 'pintle/x:local');
mkdirSync(folder, { recursive: true });
writeFileSync(
  join(folder, 'image.json'),
  JSON.stringify({ names: ['pintle/x:local'], entrypoint: [], command: ['sh'], env: {} }),
);

test('an image is found by its name and its id, and runs as the user who runs the cluster', () => {
  const [image] = listImages(home, 1000);
  expect(image!.info).toMatchObject({ names: ['pintle/x:local'], user: '1000' });
  expect(listImages(home, 0)[0]!.info.user).toBeUndefined(); // root: runAsNonRoot must refuse it
  expect(findImage(home, image!.info.id)?.folder).toBe(folder);
  expect(ensureProcessImage(home, 'pintle/x:local', 'Always').id).toBe(image!.info.id);
});

test('an unknown one says where images come from', () => {
  expect(() => ensureProcessImage(home, 'nginx', 'IfNotPresent')).toThrow('run "pintle image demo"');
  expect(() => ensureProcessImage(home, 'nginx', 'Never')).toThrow('is not present with pull policy of Never');
});
