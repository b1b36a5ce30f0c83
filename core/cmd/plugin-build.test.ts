import { expect, test } from 'bun:test';
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rejection } from '../../test/fixtures/rejection.ts';
import { buildPlugin } from './plugin-build.ts';

const example = join(import.meta.dir, '../../examples/cron-plugin');

/** Builds a plugin of this text. */
async function built(text: string, more: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-plugin-'));
  try {
    for (const [name, one] of Object.entries({ 'plugin.ts': text, ...more })) writeFileSync(join(folder, name), one);
    return await buildPlugin(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('the example: its manifest says what it is, needs and registers, twice the same', async () => {
  const out = mkdtempSync(join(tmpdir(), 'pintle-out-'));
  try {
    const first = await buildPlugin(example, join(out, 'a'));
    expect(first.manifest).toMatchObject({
      name: 'cron',
      version: '1.2.0',
      isolation: 'sandbox',
      needs: { pods: ['list', 'watch', 'create', 'delete'] },
      provides: { controllers: ['cron-crontasks'], validates: ['crontasks.cron.example.com'] },
      resources: [{ kind: 'CustomResourceDefinition', metadata: { name: 'crontasks.cron.example.com' } }],
      config: { properties: { maxActive: { default: 50 } } },
    });
    const second = await buildPlugin(example, join(out, 'b'));
    expect(second.digest).toBe(first.digest);
  } finally {
    rmSync(out, { recursive: true });
  }
});

const head = 'import { plugin } from "pintle/sdk"; export default plugin({ name: "p", version: "1.0.0", sdk:';
test.each([
  [`${head} "^1.0", setup() { throw new Error("no luck") } });`, 'no luck'],
  [`${head} "^2.0", setup() {} });`, 'written for SDK ^2.0'],
  [`${head} "^1.0", setup() { process.exit(3) } });`, 'ended with code 3'],
  ['import { x } from "./absent.ts"; export default x;', 'absent.ts'],
])('%s is refused', async (text, message) => {
  expect((await rejection(built(text))).message).toMatch(message);
});
const withPanel = (module: string) =>
  `${head} "^1.0", setup({ panel }) { panel({ name: "p", title: "P", module: "${module}" }) } });`;
test('a panel’s module is built from the source beside the plugin, and is a file of the bundle', async () => {
  const more = {
    'panel.ts': 'import { word } from "./word.ts"; document.title = word;',
    'word.ts': 'export const word: string = "hi";',
  };
  const { manifest } = await built(withPanel('panel.js'), more);
  expect(Object.keys(manifest.files).sort()).toEqual(['panel.js', 'plugin.js']);
  expect(manifest.panels).toEqual([{ name: 'p', title: 'P', module: 'panel.js' }]);
  for (const module of ['panel.js', 'plugin.js', '../panel.js'])
    expect((await rejection(built(withPanel(module)))).message).toContain(`module ${module} has no source`);
});
test('a folder without plugin.ts is refused', async () => {
  expect(await rejection(buildPlugin(tmpdir()))).toMatchObject({ code: 'PLUGIN_BUILD' });
});

const plain =
  'import { plugin } from "pintle/sdk"; export default plugin({ name: "x", version: "1.0.0", sdk: "^1.0", setup() {} });';
test('nothing of the source runs while it is bundled: a macro is refused', async () => {
  const mark = join(tmpdir(), `pintle-macro-${process.pid}`);
  const macro = `import { writeFileSync } from 'node:fs';\nexport const made = () => { writeFileSync(${JSON.stringify(mark)}, 'x'); return 1; };`;
  const text = `import { made } from "./macro.ts" with { type: "macro" };\n${plain}\nconsole.log(made());`;
  try {
    const error = await rejection(built(text, { 'macro.ts': macro }));
    expect(error).toMatchObject({ code: 'PLUGIN_BUILD', next: 'compute it in setup(), or before the build' });
    expect(error.message).toContain('Macros are disabled');
    expect(existsSync(mark)).toBe(false);
  } finally {
    rmSync(mark, { force: true });
  }
});

test('data of the machine from outside its folder is not taken into a bundle, by a link neither', async () => {
  const outside = mkdtempSync(join(tmpdir(), 'pintle-outside-'));
  try {
    for (const name of ['secret.txt', 'secret.json', 'code.ts']) writeFileSync(join(outside, name), '{"a":1}');
    writeFileSync(join(outside, 'more.ts'), 'export const more = 1;');
    const importing = (what: string) => built(`import one from ${what};\n${plain}\nconsole.log(one);`);
    const path = (name: string) => JSON.stringify(join(outside, name));
    for (const what of [
      `${path('secret.txt')} with { type: "text" }`,
      path('secret.json'),
      `${path('code.ts')} with { type: "text" }`,
      `${path('secret.txt')} with { type: "file" }`,
    ])
      expect((await rejection(importing(what))).message).toContain('from outside its folder');
    const folder = mkdtempSync(join(outside, 'plugin-'));
    symlinkSync(join(outside, 'secret.txt'), join(folder, 'link.txt'));
    const linked = `import one from "./link.txt" with { type: "text" };\n${plain}\nconsole.log(one);`;
    writeFileSync(join(folder, 'plugin.ts'), linked);
    expect((await rejection(buildPlugin(folder))).message).toContain('../secret.txt');
    // Code may be shared with what lies beside it, and data of its own is its own.
    const fine = `import own from "./own.txt" with { type: "text" };\nimport { more } from ${path('more.ts')};\n${plain}\nconsole.log(own, more);`;
    expect((await built(fine, { 'own.txt': 'x' })).manifest.name).toBe('x');
  } finally {
    rmSync(outside, { recursive: true });
  }
});
