import { afterAll, beforeAll, expect, test } from 'bun:test';
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attempts, attemptsProgram } from '../../test/fixtures/escape-attempts.ts';

const unshare = Bun.which('unshare');
const isRoot = process.getuid?.() === 0;
const able =
  unshare !== null &&
  Bun.spawnSync([unshare, ...(isRoot ? [] : ['-U', '-r']), '-m', '-n', '--propagation', 'slave', 'true']).success;
if (!able) console.log('skipped: the sandbox; this host gives no namespaces');

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'pintle-sandbox-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

test.skipIf(!able)(
  `${Object.keys(attempts).length + 3} attempts out of the sandbox, none succeeds`,
  async () => {
    for (const name of ['root', 'bundle', 'state', 'api']) mkdirSync(join(place, name), { mode: 0o755 });
    const mark = join(place, 'mark');
    writeFileSync(mark, 'the treasure');
    symlinkSync(mark, join(place, 'bundle', 'link'));
    const socket = join(place, 'host.sock');
    using _unix = Bun.listen({ unix: socket, socket: { data() {} } });
    using tcp = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
    const text = attemptsProgram(mark).replace('PORT', String(tcp.port)).replace('SOCKET', JSON.stringify(socket));
    writeFileSync(join(place, 'bundle', 'plugin.js'), text);
    const uid = isRoot ? 799_999_999 : undefined;
    if (uid) chownSync(join(place, 'state'), uid, uid);
    const run = {
      level: 'sandbox',
      root: join(place, 'root'),
      bundle: join(place, 'bundle'),
      state: join(place, 'state'),
      api: join(place, 'api'),
      program: process.execPath,
      arguments: ['/plugin/plugin.js'],
      ...(uid ? { uid } : {}),
      cgroups: [],
      openFilesMax: 256,
      processesMax: 0,
    };
    const user = isRoot ? [] : ['-U', '-r'];
    const words = [unshare!, ...user, '-m', '-n', '--propagation', 'slave', '--', process.execPath];
    const child = Bun.spawn([...words, join(import.meta.dir, 'sandbox.ts'), JSON.stringify(run)], {
      env: { PATH: '/usr/bin:/bin', KUBECONFIG: 'secret', PINTLE_HOME: 'secret' },
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    const [facts, found] = out.trim().split('\n');
    expect(facts ?? err).toContain('no_new_privs');
    expect(JSON.parse(found ?? `"${err}"`)).toEqual({});
    expect(existsSync(join(place, 'bundle', 'plugin.js'))).toBe(true);
  },
  30_000,
);

test.skipIf(!able)('a step that the kernel refuses ends it with the reason', async () => {
  const run = {
    level: 'sandbox',
    root: '/nowhere',
    bundle: '/',
    state: '/',
    api: '/',
    program: '/',
    arguments: [],
    cgroups: ['/nowhere/x'],
  };
  const child = Bun.spawnSync([process.execPath, join(import.meta.dir, 'sandbox.ts'), JSON.stringify(run)]);
  expect(child.exitCode).toBe(1);
  expect(child.stdout.toString()).toContain('"type":"failed"');
});
