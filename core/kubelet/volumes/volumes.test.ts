import { afterEach, beforeEach, expect, test } from 'bun:test';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rejection } from '../../../test/fixtures/rejection.ts';
import { writeAtomically } from './atomic-writer.ts';
import { prepareHostPath } from './host-path.ts';
import { keyFiles, type Payload, safePath } from './payload.ts';
import { resolveSubPath } from './subpath.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'volumes-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const files = (all: Record<string, string>, mode = 0o644): Payload =>
  new Map(Object.entries(all).map(([path, text]) => [path, { bytes: new TextEncoder().encode(text), mode }]));

test('files change all at once and what is gone goes away', async () => {
  const volume = join(folder, 'v');
  expect(await writeAtomically(volume, files({ a: '1', 'd/b': '2' }, 0o400), { stamp: 's1' })).toBe(true);
  expect(await readlink(join(volume, 'a'))).toBe('..data/a');
  expect((await lstat(join(volume, '..data', 'a'))).mode & 0o777).toBe(0o400);
  expect(await writeAtomically(volume, files({ a: '1', 'd/b': '2' }, 0o400), { stamp: 's2' })).toBe(false);
  expect(await writeAtomically(volume, files({ 'd/b': '3', c: '4' }), { stamp: 's3' })).toBe(true);
  expect((await readdir(volume)).sort()).toEqual(['..data', '..s3', 'c', 'd']);
  expect(await readFile(join(volume, 'd', 'b'), 'utf8')).toBe('3');
});

test('a subpath does not leave its volume', async () => {
  await mkdir(join(folder, 'v'));
  await mkdir(join(folder, 'secret'));
  await symlink(join(folder, 'secret'), join(folder, 'v', 'out'));
  await symlink('in', join(folder, 'v', 'link'));
  await mkdir(join(folder, 'v', 'in'));
  expect(await resolveSubPath(join(folder, 'v'), 'x/y')).toEndWith('/v/x/y');
  expect(await resolveSubPath(join(folder, 'v'), 'link')).toEndWith('/v/in');
  for (const bad of ['/etc', '../secret', 'x/../../secret', 'out', 'out/deep'])
    expect(await rejection(resolveSubPath(join(folder, 'v'), bad))).toBeInstanceOf(Error);
  expect(await readdir(join(folder, 'secret'))).toEqual([]);
});

test('keys of a config map: items, binary data, what is missing', () => {
  const object = { metadata: {}, data: { a: '1' }, binaryData: { b: 'AAE=' } };
  const options = { what: 'configmap', namespace: 'd', name: 'cm', mode: 0o644 } as const;
  expect([...keyFiles(object, options).keys()]).toEqual(['a', 'b']);
  const items = [{ key: 'a', path: 'x/y', mode: 0o600 }];
  expect(keyFiles(object, { ...options, items }).get('x/y')?.mode).toBe(0o600);
  expect(() => keyFiles(object, { ...options, items: [{ key: 'no', path: 'p' }] })).toThrow(
    'non-existent config key: no',
  );
  expect(() => keyFiles(undefined, options)).toThrow('configmap "cm" not found');
  expect(keyFiles(undefined, { ...options, optional: true }).size).toBe(0);
  for (const bad of ['/a', '../a', 'a/../b', '..x', '']) expect(() => safePath(bad)).toThrow();
});

test('hostPath types', async () => {
  expect(await prepareHostPath({ path: join(folder, 'new'), type: 'DirectoryOrCreate' })).toBe(join(folder, 'new'));
  await prepareHostPath({ path: join(folder, 'file'), type: 'FileOrCreate' });
  expect((await rejection(prepareHostPath({ path: join(folder, 'file'), type: 'Directory' }))).message).toMatch(
    'is not a directory',
  );
  expect((await rejection(prepareHostPath({ path: join(folder, 'none'), type: 'File' }))).message).toMatch(
    'is not a file',
  );
});
