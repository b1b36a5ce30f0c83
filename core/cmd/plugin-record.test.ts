// setup() of a plugin that is being built is a stranger's code: what it can reach, and what is left of it.
import { expect, test } from 'bun:test';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../test/fixtures/eventually.ts';
import { rejection } from '../../test/fixtures/rejection.ts';
import { skipped } from '../../test/fixtures/skipped.ts';
import { buildPlugin } from './plugin-build.ts';
import type { RecordOptions } from './plugin-record.ts';

const isRoot = process.getuid!() === 0;
const hasUnshare = Bun.which('unshare') !== null;

async function built(setup: string, options: RecordOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-record-test-'));
  try {
    writeFileSync(
      join(folder, 'plugin.ts'),
      `import { plugin } from "pintle/sdk"; export default plugin({ name: "p", version: "1.0.0", sdk: "^1.0", async setup(context: any) { ${setup} } } as any);`,
    );
    return await buildPlugin(folder, undefined, undefined, options);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
/** Processes with these words on their command line; a child that was forked has its parent's. */
const running = (words: string): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').includes(words);
    } catch {
      return false;
    }
  });
const recording = '/plugin/plugin.js --record';

test.skipIf(!hasUnshare)(
  'setup() sees no file, no address and no other process of this machine while it is built',
  async () => {
    const secret = mkdtempSync(join(tmpdir(), 'pintle-secret-'));
    writeFileSync(join(secret, 'key'), 'x');
    chmodSync(secret, 0o755);
    const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('in') });
    const notes: string[] = [];
    try {
      const { manifest } = await built(
        `const tried: string[] = [];
      const attempt = async (name: string, work: () => unknown) => { try { await work(); tried.push(name); } catch {} };
      const fs = require("node:fs");
      await attempt("file", () => fs.readFileSync("${secret}/key"));
      await attempt("passwd", () => fs.readFileSync("/etc/passwd"));
      await attempt("init", () => fs.readFileSync("/proc/1/environ"));
      await attempt("net", () => fetch("http://127.0.0.1:${server.port}"));
      await attempt("host", () => process.kill(${process.pid}, 0));
      for (const name of tried) context.metrics.counter("reached_" + name, "");`,
        { note: (line) => notes.push(line) },
      );
      expect(manifest.provides.metrics ?? []).toEqual([]);
      expect(notes).toEqual([]);
    } finally {
      await server.stop(true);
      rmSync(secret, { recursive: true });
    }
  },
);

test.skipIf(!hasUnshare)(
  'it is the first process of a number space of its own, with which all that it started ends',
  async () => {
    const { manifest } = await built('context.metrics.counter("pid_" + process.pid, "");');
    expect(manifest.provides.metrics).toEqual(['pid_1']);
    const failed = rejection(built('for (;;) {}', { limitMs: 2_000 }));
    await until(() => running(recording).length > 0);
    expect((await failed).message).toBe('the plugin cannot be built: its setup() did not end within 2 s');
    await until(() => running(recording).length === 0);
  },
  60_000,
);

test('a machine without a sandbox: it is said, and what stayed in the session of a killed build ends with it', async () => {
  const notes: string[] = [];
  const options: RecordOptions = {
    launch: () => Promise.reject(new Error('no user namespaces here')),
    note: (line) => notes.push(line),
  };
  expect((await built('', options)).manifest.name).toBe('p');
  expect(notes).toEqual([
    'note: setup() runs without a sandbox while it is built, as this machine gives none: no user namespaces here',
  ]);
  const marker = `pintle-plain-${process.pid}`;
  const child = `Bun.spawn([process.execPath, "-e", "setTimeout(() => {}, 600_000)", "${marker}"]);`;
  const failed = rejection(built(`${child} for (;;) {}`, { ...options, limitMs: 2_000 }));
  await until(() => running(marker).length > 0);
  expect((await failed).message).toContain('did not end within 2 s');
  await until(() => running(marker).length === 0);
}, 60_000);

test('one that writes without end is cut at its limit', async () => {
  const flood = 'for (;;) await new Promise((next) => process.stderr.write("x", next as never));';
  const error = await rejection(built(`console.log("y".repeat(1024)); ${flood}`, { limitMs: 2_000 }));
  expect(error.message).toContain('did not end within 2 s');
}, 60_000);

const setpriv = Bun.which('setpriv');
const canBeNobody =
  isRoot &&
  setpriv !== null &&
  Bun.spawnSync([
    setpriv,
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
    '--',
    process.execPath,
    '-e',
    `require("fs").readFileSync(${JSON.stringify(import.meta.path)})`,
  ]).success;
if (!canBeNobody)
  skipped('e2e', 'building as an unprivileged user', 'needs root, setpriv, and a checkout that others can read');
test.skipIf(!canBeNobody)(
  'an unprivileged user builds too, in the sandbox where there are user namespaces',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pintle-nobody-'));
    try {
      writeFileSync(
        join(folder, 'plugin.ts'),
        'import { plugin } from "pintle/sdk"; export default plugin({ name: "p", version: "1.0.0", sdk: "^1.0", setup() {} });',
      );
      Bun.spawnSync(['chown', '-R', '65534:65534', folder]);
      const script = `const { buildPlugin } = await import(${JSON.stringify(join(import.meta.dir, 'plugin-build.ts'))}); const { manifest } = await buildPlugin(${JSON.stringify(folder)}); console.log(manifest.name);`;
      const result = Bun.spawnSync(
        [setpriv!, '--reuid=65534', '--regid=65534', '--clear-groups', '--', process.execPath, '-e', script],
        { env: { PATH: process.env['PATH'], HOME: folder, TMPDIR: folder }, cwd: import.meta.dir },
      );
      expect(result.stderr.toString()).not.toContain('error');
      expect(result.stdout.toString().trim()).toBe('p');
      const says = result.stderr.toString();
      const hasNamespaces = Bun.spawnSync([
        setpriv!,
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        '--',
        'unshare',
        '-U',
        '-r',
        'true',
      ]).success;
      if (hasNamespaces) expect(says).not.toContain('without a sandbox');
      else expect(says).toContain('without a sandbox');
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  60_000,
);
