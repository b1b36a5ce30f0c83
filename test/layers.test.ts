import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = join(import.meta.dir, '..');
/** Who may import whom. Left: the folder; right: folders of ours that its files may name. Every folder may import itself. */
const allowed: Record<string, readonly string[]> = {
  'core/base': [],
  'core/api': ['core/base'],
  'core/wire': ['core/base', 'core/api'],
  'core/store': ['core/base', 'core/api'],
  'core/client': ['core/base', 'core/api'],
  'core/sdk': ['core/base', 'core/api', 'core/client', 'net'],
  'core/apiserver': ['core/base', 'core/api', 'core/store', 'core/sdk', 'core/wire', 'core/client'],
  'core/scheduler': ['core/base', 'core/api', 'core/client', 'core/sdk'],
  'core/controllers': ['core/base', 'core/api', 'core/client', 'core/sdk'],
  'core/kubelet': ['core/base', 'core/api', 'core/client', 'core/sdk', 'core/wire', 'net'],
  'core/proxy': ['core/base', 'core/api', 'core/client', 'core/sdk', 'net'],
  'core/host': ['core/base', 'core/api', 'core/client', 'core/sdk', 'net'],
  'core/testing': ['core', 'net'],
  'core/cmd': ['core', 'net', 'package.json'],
  net: ['core/base'],
  plugins: ['core/sdk/index.ts', 'crds'],
  'plugins/standard': ['core/cmd', 'core/testing', 'plugins'],
  crds: ['core/api'],
  examples: [],
  test: ['core', 'net', 'plugins', 'crds', 'examples', 'test', 'package.json'],
};
/** file → imported path, with the reason and a date. */
const exceptions: Record<string, string> = {};

const aliases: Record<string, string> = {
  '#base': 'core/base/index.ts',
  '#api': 'core/api/index.ts',
  '#client': 'core/client/index.ts',
  '#sdk': 'core/sdk/index.ts',
};
const folderOf = (path: string): string | undefined =>
  Object.keys(allowed)
    .filter((folder) => path.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0];
const pluginOf = (path: string): string | undefined => /^plugins\/([^/]+)\//.exec(path)?.[1];
const isTest = (path: string): boolean => /\.(test|e2e|net|sim|bench)\.tsx?$/.test(path);

/** Paths, from the root, that a file imports of ours; `import type` and dynamic imports too. */
export function importsOf(file: string, text: string): string[] {
  const found: string[] = [];
  for (const match of text.matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|^import\s+|\brequire\(\s*)['"]([^'"\n]+)['"]/gm)) {
    const name = match[1]!;
    if (name.startsWith('.')) found.push(relative(root, resolve(dirname(join(root, file)), name)));
    else if (aliases[name]) found.push(aliases[name]);
    else if (name.startsWith('#net/')) found.push(`net/${name.slice(5)}.ts`);
  }
  return found;
}

const files = Array.from(new Bun.Glob('{core,net,plugins,crds,examples,test}/**/*.ts').scanSync(root)).filter(
  (file) => !file.includes('/gen/'),
);

test('every import goes in the allowed direction', () => {
  expect(files.length).toBeGreaterThan(50); // an empty scan must never be green
  const wrong: string[] = [];
  for (const file of files) {
    const home = isTest(file) ? 'test' : folderOf(file);
    if (!home) {
      wrong.push(`${file}: in no known folder`);
      continue;
    }
    for (const target of importsOf(file, readFileSync(join(root, file), 'utf8'))) {
      const fine = [home, ...(allowed[home] ?? [])].some(
        (prefix) => target === prefix || target.startsWith(`${prefix}/`),
      );
      if (!fine && exceptions[`${file} → ${target}`] === undefined) wrong.push(`${file} → ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

/** What of `imports` a plugin's file may not have: its own folder, the SDK's door and crds/ are all there is; no package, no program of the machine. */
export function beyondTheDoor(file: string, imports: readonly string[], packages: readonly string[]): string[] {
  const own = `plugins/${pluginOf(file)}/`;
  const allowedHere = (target: string) =>
    target === 'core/sdk/index.ts' || target.startsWith(own) || target.startsWith('crds/');
  return [...imports.filter((target) => !allowedHere(target)), ...packages]
    .map((target) => `${file} → ${target}`)
    .filter((line) => packagesAllowed[line] === undefined && !isDataPlane.test(line));
}
/** Sockets, TLS and HTTP/2 are what a data plane is made of (2026-11). */
const isDataPlane = /^plugins\/ingress\/(builtin|haproxy)\/\S+ → node:(net|tls|http2|stream|crypto)$/;
/** file → package, with the reason and a date. */
const packagesAllowed: Record<string, string> = {
  'plugins/dns/foreign-records.ts → dns-packet':
    'the codec for what other servers say; asked for by the project (2026-11)',
  'plugins/ingress/check-certificate.ts → node:crypto': 'certificates are read (2026-11)',
};
const packagesOf = (text: string): string[] =>
  [...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|^import\s+)['"]([^.#'"][^'"\n]*)['"]/gm)].map(([, name]) => name!);

test('plugins import the one door of the SDK and their own folder, no other plugin and no package', () => {
  const ofPlugins = files.filter((file) => pluginOf(file) && pluginOf(file) !== 'standard' && !isTest(file));
  expect(new Set(ofPlugins.map(pluginOf)).size).toBeGreaterThan(1);
  const wrong = ofPlugins.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return beyondTheDoor(file, importsOf(file, text), packagesOf(text));
  });
  expect(wrong).toEqual([]);
});

test('another plugin, a deeper path of the core and a package are each refused', () => {
  const line = (name: string) => `import x FROM '${name}';`.replace('FROM', 'from');
  const names = ['#sdk', './kinds.ts', '../crd/names.ts', '../../core/sdk/strategy.ts', '#api', '#client', 'node:fs'];
  const text = names.map(line).join('\n');
  expect(beyondTheDoor('plugins/apps/x.ts', importsOf('plugins/apps/x.ts', text), packagesOf(text))).toEqual([
    'plugins/apps/x.ts → plugins/crd/names.ts',
    'plugins/apps/x.ts → core/sdk/strategy.ts',
    'plugins/apps/x.ts → core/api/index.ts',
    'plugins/apps/x.ts → core/client/index.ts',
    'plugins/apps/x.ts → node:fs',
  ]);
});

test('examples are written like anybody’s plugin: the package and their own folder', () => {
  // The shop is no plugin: its programs run in pods, with what Bun has.
  const examples = Array.from(new Bun.Glob('examples/*-plugin/**/*.ts').scanSync(root)).filter((file) => !isTest(file));
  expect(examples.length).toBeGreaterThan(0);
  for (const file of examples)
    for (const name of packagesOf(readFileSync(join(root, file), 'utf8')))
      expect([file, name]).toEqual([file, 'pintle/sdk']);
});

test('type imports and dynamic imports are seen', () => {
  const lines = [
    "import type { A } FROM '../api/meta.ts';",
    "const b = await IMPORT('./b.ts');",
    "export * FROM '#sdk';",
    "import x FROM 'elysia';",
  ];
  const text = lines.join('\n').replaceAll('FROM', 'from').replaceAll('IMPORT', 'import'); // written so that this file does not import them
  expect(importsOf('core/store/x.ts', text)).toEqual(['core/api/meta.ts', 'core/store/b.ts', 'core/sdk/index.ts']);
});
