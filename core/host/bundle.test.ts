import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemFiles } from '#base';
import { rejection } from '../../test/fixtures/rejection.ts';
import { readBundle, sha256Of } from './bundle.ts';
import { isInside, type PluginManifest, parseManifest } from './manifest.ts';
import { undeclared } from './provides.ts';

const good: PluginManifest = {
  formatVersion: 1,
  name: 'x',
  version: '1.0.0',
  sdk: '^1.0',
  entry: 'plugin.js',
  protocol: 1,
  placement: 'cluster',
  isolation: 'sandbox',
  requires: [],
  provides: { controllers: [], validates: [], mutates: [], schedules: [] },
  needs: { pods: ['get'] },
  resources: [],
  limits: { memoryMiB: 64 },
  files: { 'plugin.js': sha256Of('code') },
};
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pintle-bundle-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
function written(change: Partial<Record<keyof PluginManifest, unknown>> = {}, code = 'code'): string {
  const place = join(folder, String(count++));
  mkdirSync(place);
  writeFileSync(join(place, 'plugin.js'), code);
  writeFileSync(join(place, 'plugin.json'), JSON.stringify({ ...good, ...change }));
  return place;
}

test('a bundle is read without running it, and its digest covers every file', async () => {
  const place = written();
  const bundle = await readBundle(place, systemFiles);
  expect(bundle.manifest).toEqual(good);
  expect(bundle.digest).toBe(`sha256:${sha256Of(readFileSync(join(place, 'plugin.json')))}`);
  expect(await readBundle(place, systemFiles, bundle.digest)).toEqual(bundle);
});

test.each<[string, (place: string) => void]>([
  ['a changed file', (place) => writeFileSync(join(place, 'plugin.js'), 'other')],
  ['a file that is not listed', (place) => writeFileSync(join(place, 'more.js'), '')],
  ['a missing file', (place) => rmSync(join(place, 'plugin.js'))],
  ['a link', (place) => symlinkSync('/etc/passwd', join(place, 'link'))],
  [
    'a link in place of a file',
    (place) => {
      writeFileSync(join(folder, 'same'), 'code');
      rmSync(join(place, 'plugin.js'));
      symlinkSync(join(folder, 'same'), join(place, 'plugin.js'));
    },
  ],
])('%s is refused', async (_what, change) => {
  const place = written();
  change(place);
  expect(await rejection(readBundle(place, systemFiles))).toMatchObject({ code: 'BUNDLE_MODIFIED' });
});

test('a bundle with another digest than the one installed is refused, and so is none', async () => {
  const place = written();
  expect(await rejection(readBundle(place, systemFiles, `sha256:${'0'.repeat(64)}`))).toMatchObject({
    code: 'BUNDLE_MODIFIED',
  });
  expect(await rejection(readBundle(join(folder, 'nowhere'), systemFiles))).toMatchObject({ code: 'BUNDLE_INVALID' });
});

test.each<[Partial<Record<keyof PluginManifest, unknown>>, string]>([
  [{ formatVersion: 2 }, 'formatVersion 2 is not 1'],
  [{ name: '../x' }, 'name must be'],
  [{ files: { '../plugin.js': sha256Of('code') } }, 'leads out of the bundle'],
  [{ files: { '/etc/passwd': sha256Of('code') } }, 'leads out of the bundle'],
  [{ entry: 'other.js' }, 'entry must be one of its files'],
  [{ needs: { pods: ['*'] } }, 'has a verb that does not exist'],
  [{ needs: { '*': ['get'] } }, 'is no resource'],
  [{ isolation: 'builtin' }, 'isolation must be one of'],
  [{ placement: 'moon' }, 'placement must be one of'],
  [{ limits: { memoryMiB: 1 } }, 'at least 16'],
  [{ provides: {} }, 'provides.controllers must list names'],
  [{ provides: { controllers: [], validates: [], mutates: [], schedules: [], kernels: [] } }, 'no contribution point'],
])('the manifest %j is refused', async (change, message) => {
  expect((await rejection(readBundle(written(change), systemFiles))).message).toMatch(message);
});

test('a key __proto__ is refused, and what is no JSON', () => {
  expect(() => parseManifest('{"needs":{"__proto__":{"x":1}}}')).toThrow('__proto__');
  expect(() => parseManifest('{')).toThrow('no JSON');
  expect(() => parseManifest('null')).toThrow('it holds no object');
});

test.each([
  ['plugin.js', true],
  ['a/b.js', true],
  ['a/../b', false],
  ['.hidden', false],
  ['a//b', false],
  ['a\u0000b', false],
])('%j is inside: %p', (path, inside) => expect(isInside(path)).toBe(inside));

test('what was registered but not declared has a name', () => {
  const registered = { ...good.provides, controllers: ['c'], validates: ['notes.example.com'] };
  expect(undeclared(good.provides, registered)).toEqual(['controller c', 'validate hook for notes.example.com']);
  expect(undeclared(registered, good.provides)).toEqual([]);
});
