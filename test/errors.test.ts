import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dir, '..');

test('every error code of the code is in docs/errors.md, and the other way round', () => {
  const inCode = new Set<string>();
  for (const file of new Bun.Glob('{core,net,plugins}/**/*.ts').scanSync(root)) {
    if (/\.test\.ts$/.test(file)) continue;
    for (const match of readFileSync(join(root, file), 'utf8').matchAll(/new PintleError\(\s*'([A-Z_]+)'/g))
      inCode.add(match[1]!);
  }
  const inDocs = new Set(
    [...readFileSync(join(root, 'docs/errors.md'), 'utf8').matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1]!),
  );
  expect(inCode.size).toBeGreaterThan(10);
  expect([...inCode].filter((code) => !inDocs.has(code)).sort()).toEqual([]);
  expect([...inDocs].filter((code) => !inCode.has(code)).sort()).toEqual([]);
});
