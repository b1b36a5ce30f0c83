import { afterAll, beforeAll, expect, test } from 'bun:test';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rejection } from '../../test/fixtures/rejection.ts';
import { sha256Of } from '../host/bundle.ts';
import { buildPlugin } from './plugin-build.ts';
import { bundleFrom } from './plugin-sources.ts';

let place: string;
beforeAll(() => void (place = mkdtempSync(join(tmpdir(), 'pintle-foreign-'))));
afterAll(() => rmSync(place, { recursive: true, force: true }));
let count = 0;
function source(manifest: unknown, files: Readonly<Record<string, string>> = {}): string {
  const folder = join(place, String(count++));
  for (const [path, text] of Object.entries({ 'manifest.json': JSON.stringify(manifest), ...files })) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}
const least = { name: 'x', version: '1.0.0', sdk: '^1.0', container: { image: 'busybox' } };

test('a folder with manifest.json becomes a bundle of its files, by their digests, with what can be left out', async () => {
  const more = { 'main.py': 'print()', 'lib/a.py': '', '.env': 'secret', '.git/config': '', '__pycache__/a.pyc': '' };
  const folder = source(least, { ...more, 'README.md': '#', 'dist/old': '' });
  const { manifest } = await buildPlugin(folder);
  expect(Object.keys(manifest.files).sort()).toEqual(['lib/a.py', 'main.py']);
  expect(manifest.files['main.py']).toBe(sha256Of('print()'));
  expect(manifest).toMatchObject({
    isolation: 'container',
    placement: 'cluster',
    limits: { memoryMiB: 128 },
    needs: {},
  });
  const again = await bundleFrom(folder, join(place, 'work')); // a source folder of install
  expect(again.manifest).toEqual(manifest);
});
test('the example is one', async () => {
  const folder = join(place, 'python');
  cpSync(join(import.meta.dir, '../../examples/python-plugin'), folder, { recursive: true });
  const { manifest } = await buildPlugin(folder);
  expect(manifest.provides.validates).toEqual(['greetings.python.example.com']);
  expect(manifest.files).toHaveProperty(['main.py']);
});

test.each<[string, unknown, string]>([
  ['a list', [], 'manifest.json: it holds no object'],
  ['no image', { ...least, container: {} }, 'manifest.json: container.image is no image'],
  ['a weaker level', { ...least, isolation: 'process' }, 'only isolation container has one'],
  ['no program', { ...least, container: undefined }, 'entry must be one of its files'],
  ['a digest of its own', { ...least, files: { x: '0'.repeat(64) }, version: '1' }, 'version must be like 1.2.0'],
])('%s is refused', async (_what, manifest, why) => {
  const error = await rejection(buildPlugin(source(manifest)));
  expect(error).toMatchObject({ code: 'PLUGIN_BUILD' });
  expect(error.message).toContain(why);
});
