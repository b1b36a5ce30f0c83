// The author's commands, as an author runs them: in a folder of his own, with this program's SDK.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dir, '..');
let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'ptt-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

async function pintle(...argv: string[]) {
  const child = Bun.spawn([process.execPath, join(root, 'plugins/standard/main.ts'), 'plugin', ...argv], {
    cwd: place,
    env: { ...process.env, PINTLE_HOME: join(place, 'home') },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, text: out + err };
}

test('new, then a passing test, its types, and a build', async () => {
  expect((await pintle('new', 'hello')).code).toBe(0);
  const tested = await pintle('test', 'hello');
  expect([tested.code, tested.text]).toEqual([0, expect.stringContaining('1 pass')]);
  const tsc = Bun.spawn([process.execPath, join(root, 'node_modules/typescript/bin/tsc'), '-p', join(place, 'hello')]);
  expect(await tsc.exited).toBe(0);
  expect((await pintle('build', 'hello')).code).toBe(0);
}, 120_000);

test('chaos: the wrong controller is reported with its write, and the command fails', async () => {
  expect((await pintle('new', 'wrong')).code).toBe(0);
  const file = join(place, 'wrong', 'plugin.ts');
  const text = readFileSync(file, 'utf8')
    .replace('needs: {}', 'needs: { configmaps: ["create"] }')
    .replace('setup({ reconcile }) {', 'setup({ reconcile, api }) {\n    let done = false;')
    .replace(
      'await status(',
      `if (!done) await api.configmaps.create({ metadata: { generateName: "x-", namespace: "default" } } as never);
      done = true;
      await status(`,
    );
  writeFileSync(file, text);
  expect((await pintle('test', 'wrong')).code).toBe(0);
  const chaos = await pintle('test', 'wrong', '--chaos');
  expect(chaos.code).toBe(1);
  expect(chaos.text).toContain('killed after write 1, create configmaps in default');
  expect(chaos.text).toContain('PLUGIN_TESTS_FAILED');
}, 120_000);

test('check: types, needs against use, and the step of the version against a former build', async () => {
  expect((await pintle('new', 'grows')).code).toBe(0);
  expect((await pintle('build', 'grows')).code).toBe(0);
  cpSync(join(place, 'grows', 'dist'), join(place, 'released'), { recursive: true });
  const good = await pintle('check', 'grows', '--against', 'released');
  expect([good.code, good.text]).toEqual([0, expect.stringContaining('needed: none')]);
  const file = join(place, 'grows', 'plugin.ts');
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    text
      .replace('needs: {}', 'needs: { pods: ["list"] }')
      .replace('text: t.string()', 'words: t.int()')
      .replace('spec.text', 'spec.text'),
  );
  const bad = await pintle('check', 'grows', '--against', 'released');
  expect(bad.code).toBe(1);
  expect(bad.text).toContain("Property 'text' does not exist");
  expect(bad.text).toContain('in needs and not used: pods: list');
  expect(bad.text).toContain('must take a major step from 0.1.0: growss.grows.example.com: v1:.spec.text is removed');
}, 120_000);

test('settings of Bun in the folder where somebody stands neither run in this program nor steer it', async () => {
  const checkout = join(place, 'checkout');
  for (const folder of ['plugins/standard', 'node_modules']) mkdirSync(join(checkout, folder), { recursive: true });
  for (const file of ['pintle', 'package.json', 'bunfig.toml', 'bun.lock'])
    cpSync(join(root, file), join(checkout, file));
  cpSync(join(root, 'bun.lock'), join(checkout, 'node_modules/.pintle.lock'));
  const main = 'console.log(JSON.stringify([process.env.PINTLE_HOME ?? null, process.argv.slice(2)]));';
  writeFileSync(join(checkout, 'plugins/standard/main.ts'), main);
  const theirs = join(place, 'theirs');
  mkdirSync(theirs);
  const mark = join(theirs, 'ran');
  writeFileSync(join(theirs, 'bunfig.toml'), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(theirs, 'evil.ts'), `require('node:fs').writeFileSync(${JSON.stringify(mark)}, 'x');`);
  writeFileSync(join(theirs, '.env'), 'PINTLE_HOME=/nowhere\n');
  const { PINTLE_HOME: _none, ...env } = process.env;
  const child = Bun.spawn([join(checkout, 'pintle'), 'plugin', 'build', '--x=y z'], {
    cwd: theirs,
    env: { ...env, PINTLE_BUN: process.execPath },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect([out.trim(), err]).toEqual([JSON.stringify([null, ['plugin', 'build', '--x=y z']]), '']);
  expect(existsSync(mark)).toBe(false);
}, 60_000);
