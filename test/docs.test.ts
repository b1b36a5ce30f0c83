import { expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';

const root = join(import.meta.dir, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

test('every dependency has a line that says what it is for', () => {
  const manifest = JSON.parse(read('package.json')) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  const text = read('docs/dependencies.md');
  const names = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)];
  expect(names.filter((name) => !text.includes(`| \`${name}\` |`))).toEqual([]);
});

test('versions are pinned', () => {
  const manifest = JSON.parse(read('package.json')) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  expect(
    Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    ),
  ).toEqual([]);
});

test('links between documents lead somewhere', () => {
  const documents = ['README.md', ...new Bun.Glob('docs/**/*.md').scanSync(root)];
  expect(documents.length).toBeGreaterThan(8);
  const broken: string[] = [];
  for (const document of documents)
    for (const match of read(document).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g))
      if (!/^[a-z]+:/.test(match[1]!) && !existsSync(join(root, dirname(document), match[1]!)))
        broken.push(`${document}: ${match[1]}`);
  expect(broken).toEqual([]);
});

test('the examples are YAML with a kind', () => {
  const files = Array.from(new Bun.Glob('examples/**/*.yaml').scanSync(root));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files)
    for (const document of parseAllDocuments(read(file))) {
      expect(document.errors).toEqual([]);
      expect((document.toJS() as { kind?: string }).kind).toBeTruthy();
    }
});

test('no path of a single machine is written down', () => {
  const files = [
    ...new Bun.Glob('{core,net,plugins,test,docs,examples}/**/*').scanSync(root),
    'README.md',
    'pintle',
    '.ci/run',
  ];
  const bad = files.filter(
    (file) =>
      !/\.json$/.test(file) && /\/work\/|(?<!\/proc\/self)\/root\//.test(read(file)) && !file.endsWith('docs.test.ts'),
  );
  expect(bad).toEqual([]);
});
