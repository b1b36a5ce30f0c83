// bun crds/gen/generate.ts [FOLDER]: TypeScript types of the platform's own definitions.
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { type DefinitionText, typesOf } from '../../core/sdk/schema/typescript.ts';

const root = join(import.meta.dir, '..');
/** Groups whose definitions a built-in plugin applies itself; the others are served by code or installed by hand. */
const applied = new Set(['net.pintle.dev']);
const target = process.argv[2] ?? import.meta.dir;
for (const file of [...new Bun.Glob('*/*.yaml').scanSync(root)].sort()) {
  const definition = parse(await Bun.file(join(root, file)).text()) as DefinitionText;
  const head = `// Made by crds/gen/generate.ts from crds/${file}.\n`;
  const name = file
    .split('/')
    .at(-1)!
    .replace(/\.yaml$/, '.ts');
  await Bun.write(join(target, name), head + typesOf(definition, { from: '#api' }));
  if (applied.has(dirname(file)))
    await Bun.write(join(target, name.replace(/ts$/, 'json')), `${JSON.stringify(definition)}\n`);
}
