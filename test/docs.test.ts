import { expect, test } from 'bun:test';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';

const root = join(import.meta.dir, '..');
const read = (file: string) => Bun.file(join(root, file)).text();

test('every dependency has a line in docs/dependencies.md', async () => {
  const { dependencies, devDependencies } = JSON.parse(await read('package.json')) as Record<
    string,
    Record<string, string>
  >;
  const text = await read('docs/dependencies.md');
  expect(Object.keys({ ...dependencies, ...devDependencies }).filter((name) => !text.includes(`\`${name}\``))).toEqual(
    [],
  );
});
test('links between documents resolve', async () => {
  const broken: string[] = [];
  for (const file of ['README.md', ...new Bun.Glob('docs/**/*.md').scanSync({ cwd: root })])
    for (const [, target] of (await read(file)).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g))
      if (!(await Bun.file(join(root, dirname(file), target!)).exists())) broken.push(`${file} → ${target}`);
  expect(broken).toEqual([]);
});
test('examples are YAML of objects', async () => {
  for (const file of new Bun.Glob('examples/*.yaml').scanSync({ cwd: root }))
    for (const document of parseAllDocuments(await read(file))) {
      expect(document.errors).toEqual([]);
      expect(document.toJS()).toMatchObject({ apiVersion: expect.any(String), kind: expect.any(String) });
    }
});
