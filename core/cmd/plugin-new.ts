import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PintleError } from '#base';
import { linkSdk } from './plugin-sdk.ts';

/** A folder with the smallest plugin that does something, and a test that passes: it builds and installs as it is. */
export async function newPlugin(path: string): Promise<void> {
  const name = path.split('/').filter(Boolean).at(-1) ?? '';
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
    throw new PintleError(
      'BAD_PLUGIN_NAME',
      `${name || 'an empty name'} is no name of a plugin`,
      'use lower-case letters, digits and hyphens',
    );
  if (existsSync(path))
    throw new PintleError('BAD_PLUGIN_NAME', `${path} is there already`, 'name a folder that does not exist');
  await mkdir(path, { recursive: true });
  const files = {
    'plugin.ts': template(name),
    'plugin.test.ts': testTemplate(name),
    'tsconfig.json': `${JSON.stringify(compilerOptions, undefined, 2)}\n`,
    '.gitignore': 'node_modules\ndist\n',
  };
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
  await linkSdk(path);
  process.stdout.write(
    `made ${path}: plugin.ts, plugin.test.ts\n  next: ./pintle plugin test ${path}\n        ./pintle plugin install ${path}\n`,
  );
}

const kindOf = (name: string): string =>
  name
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')
    .replace(/^(?=\d)/, 'X');

const template = (name: string): string => `import { crd, plugin, t } from "pintle/sdk";

const ${kindOf(name)} = crd({
  group: "${name}.example.com", kind: "${kindOf(name)}", version: "v1",
  spec: t.object({ text: t.string() }),
  status: t.object({ said: t.string() }),
  columns: { Said: ".status.said" },
});

export default plugin({
  name: "${name}", version: "0.1.0", sdk: "^1.0",
  needs: {}, // what it may do beyond its own kinds, such as { pods: ["list", "watch"] }
  resources: [${kindOf(name)}],
  setup({ reconcile }) {
    reconcile(${kindOf(name)}, {}, async ({ spec }, { status }) => {
      await status({ said: spec.text });
    });
  },
});
`;

const testTemplate = (name: string): string => `import { test } from "bun:test";
import { world } from "pintle/sdk/testing";
import plugin from "./plugin.ts";

test("it says what it is told", async () => {
  await using w = await world({ seed: 1, plugin }); // a whole cluster on virtual time
  await w.apply(\`
apiVersion: ${name}.example.com/v1
kind: ${kindOf(name)}
metadata: { name: one }
spec: { text: hello }
\`);
  await w.settle();
  await w.expect("${kindOf(name).toLowerCase()}s/one", { status: { said: "hello" } });
});
`;

export const compilerOptions = {
  compilerOptions: {
    target: 'ESNext',
    module: 'Preserve',
    moduleResolution: 'bundler',
    lib: ['ESNext'],
    types: ['bun'],
    strict: true,
    noUncheckedIndexedAccess: true,
    allowImportingTsExtensions: true,
    resolveJsonModule: true,
    verbatimModuleSyntax: true,
    experimentalDecorators: true,
    noEmit: true,
    skipLibCheck: true,
  },
  include: ['*.ts'],
};
