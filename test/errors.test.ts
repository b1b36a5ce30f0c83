import { expect, test } from 'bun:test';
import { join } from 'node:path';

const root = join(import.meta.dir, '..');

test('error codes of the code and of docs/errors.md are the same', async () => {
  const inCode = new Set<string>();
  for await (const file of new Bun.Glob('{core,net,plugins}/**/*.ts').scan({ cwd: root }))
    if (!file.endsWith('.test.ts'))
      for (const [, code] of (await Bun.file(join(root, file)).text()).matchAll(/new PintleError\(\s*'([A-Z0-9_]+)'/g))
        inCode.add(code!);
  const documented = new Set(
    [...(await Bun.file(join(root, 'docs/errors.md')).text()).matchAll(/^## ([A-Z0-9_]+)$/gm)].map(
      (match) => match[1]!,
    ),
  );
  expect([...inCode].sort()).toEqual([...documented].sort());
});
