import { expect, test } from 'bun:test';
import { dirname, join, normalize } from 'node:path';

/** Who may import whom (docs/architecture.md). A folder may always import itself. Tests may import anything. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'core/base': [],
  'core/api': ['core/base'],
  'core/wire': ['core/base', 'core/api'],
  'core/store': ['core/base', 'core/api'],
  'core/client': ['core/base', 'core/api'],
  'core/sdk': ['core/base', 'core/api', 'core/client', 'net'],
  'core/apiserver': ['core/base', 'core/api', 'core/wire', 'core/store', 'core/client', 'core/sdk'],
  'core/scheduler': ['core/base', 'core/api', 'core/client', 'core/sdk'],
  'core/controllers': ['core/base', 'core/api', 'core/client', 'core/sdk'],
  'core/kubelet': ['core/base', 'core/api', 'core/wire', 'core/client', 'core/sdk', 'net'],
  'core/proxy': ['core/base', 'core/api', 'core/client', 'core/sdk', 'net'],
  'core/host': ['core/base', 'core/api', 'core/client', 'core/sdk'],
  'core/testing': ['core', 'net'],
  'core/cmd': ['core', 'net'],
  net: ['core/base'],
  plugins: ['core/sdk', 'crds'],
  'plugins/standard': ['core/cmd', 'plugins', 'core/sdk', 'core/base'],
};
const aliases: Readonly<Record<string, string>> = {
  '#base': 'core/base',
  '#api': 'core/api',
  '#client': 'core/client',
  '#sdk': 'core/sdk',
};
const layerOf = (path: string): string =>
  path.startsWith('net/')
    ? 'net'
    : path.startsWith('plugins/standard/')
      ? 'plugins/standard'
      : path.startsWith('plugins/')
        ? 'plugins'
        : path.split('/').slice(0, 2).join('/');

test('every import, type imports included, follows the direction of dependencies', async () => {
  const root = normalize(join(import.meta.dir, '..'));
  const wrong: string[] = [];
  for await (const file of new Bun.Glob('{core,net,plugins}/**/*.ts').scan({ cwd: root })) {
    if (file.endsWith('.test.ts')) continue;
    const from = layerOf(file);
    for (const [, target] of (await Bun.file(join(root, file)).text()).matchAll(
      /^(?:import|export)\b[^;'"]*?['"]([^'"]+)['"]/gm,
    )) {
      const path = target!.startsWith('.')
        ? join(dirname(file), target!)
        : target!.startsWith('#net/')
          ? 'net/x'
          : aliases[target!];
      if (path === undefined) continue;
      const to = layerOf(path.includes('/') && aliases[target!] ? `${path}/x` : path);
      const permitted = allowed[from];
      if (to !== from && !permitted?.some((one) => to === one || to.startsWith(`${one}/`)))
        wrong.push(`${file} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});
