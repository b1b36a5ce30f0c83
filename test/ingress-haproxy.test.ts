import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnDuplex, systemClock } from '#base';
import { createAuthority, issueServing } from '../core/wire/pki.ts';
import { type RuntimeSocket, RuntimeSocketError, runtimeSocket } from '../plugins/ingress/haproxy/runtime-socket.ts';
import type { Certificate, Routing } from '../plugins/ingress/model.ts';
import { defaultBodyBytesMax, defaultLimits, defaultTimeouts } from '../plugins/ingress/model.ts';
import { eventually, until } from './fixtures/eventually.ts';
import { haproxy, haproxyDriver } from './fixtures/haproxy.ts';
import { echoBackend } from './fixtures/http-backends.ts';
import { backendOf, hostOf, routeTo, routingOf } from './fixtures/ingress-routing.ts';
import { askRaw, RawHttp } from './fixtures/raw-http.ts';
import { readUntil } from './fixtures/read-until.ts';
import { rejection } from './fixtures/rejection.ts';

type Made = Awaited<ReturnType<typeof haproxyDriver>>;
const a = echoBackend('a');
const b = echoBackend('b');
let standard: Certificate;
beforeAll(async () => {
  const nowMs = systemClock.now();
  const authority = await createAuthority('haproxy tests', nowMs);
  const common = { commonName: 'default', dnsNames: ['default.invalid'], ipAddresses: [], days: 7, nowMs };
  standard = { id: 'default', version: '1', names: [], ...(await issueServing(authority, common)) };
});
afterAll(async () => {
  await a[Symbol.asyncDispose]();
  await b[Symbol.asyncDispose]();
});

/** Forwarded as most are: nothing is looked at twice. */
const plain = (backend: string) => routeTo(backend, { requestBodyBytesMax: defaultBodyBytesMax });
const routing = (more: Partial<Routing> & Pick<Routing, 'hosts'>): Routing =>
  routingOf(standard, { backends: [backendOf('a', [a.port]), backendOf('b', [b.port])], ...more });
const shop = (backend: string, more: Partial<Routing> = {}): Routing =>
  routing({ hosts: [hostOf('shop.example', { '/': plain(backend) })], ...more });

const portOf = ({ driver }: Made): number => driver.listening.find(({ name }) => name === 'http')!.port;
async function backendAt(made: Made, target = '/', host = 'shop.example'): Promise<string> {
  const { status, body } = await askRaw(portOf(made), `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return status === 200 ? JSON.parse(body).backend : String(status);
}
const processesOf = ({ folder }: Pick<Made, 'folder'>): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return argv.some((word) => word.startsWith(`${folder}/`));
      } catch {
        return false;
      }
    })
    .map(Number);
const servingOf = ({ folder }: Pick<Made, 'folder'>): { pid: number; number: number } =>
  JSON.parse(readFileSync(`${folder}/serving.json`, 'utf8'));
const socketOf = (made: Made): RuntimeSocket =>
  runtimeSocket(`${made.folder}/${servingOf(made).number}.sock`, systemClock);

describe.skipIf(!haproxy)('the HAProxy driver', () => {
  test('most changes need no other process; another listener does, and no request is lost', async () => {
    await using made = await haproxyDriver();
    expect(await made.driver.apply(shop('a'))).toEqual({ rejected: [], reloaded: true });
    const { pid } = servingOf(made);
    using standing = new RawHttp(portOf(made));
    const ask = async () => {
      standing.send('GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n');
      return JSON.parse((await standing.answer()).body).backend;
    };
    expect(await ask()).toBe('a');
    const many = Array.from({ length: 20 }, (_, index) => backendOf(`more${index}`, [b.port]));
    const changes: Routing[] = [
      shop('b'),
      shop('a', { backends: [backendOf('a', [a.port, b.port])] }),
      routing({
        backends: many,
        hosts: many.map(({ id }) => hostOf(`${id}.example`, { '/': plain(id), '=/x': plain(id) })),
      }),
      shop('a'),
    ];
    for (const change of changes) expect((await made.driver.apply(change)).reloaded).toBe(false);
    expect(servingOf(made).pid).toBe(pid);
    expect(await ask()).toBe('a');
    const further = { name: 'more', protocol: 'http', ip: '127.0.0.1', port: 0 } as const;
    expect((await made.driver.apply({ ...shop('b'), listeners: [...shop('b').listeners, further] })).reloaded).toBe(
      true,
    );
    expect(servingOf(made).pid).not.toBe(pid);
    expect(['a', 'b']).toContain(await ask()); // the process it began with answers what is on its way
    expect(await backendAt(made)).toBe('b');
    const { port } = made.driver.listening.find(({ name }) => name === 'more')!;
    expect((await askRaw(port, 'GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n')).status).toBe(200);
    await eventually(
      () => processesOf(made),
      (pids) => pids.length === 1,
    );
  });

  test('plain routes: hosts in every spelling, wildcards, no host, bounds of a body', async () => {
    await using made = await haproxyDriver();
    const hosts = [
      hostOf('shop.example', { '/': plain('a'), '/api': plain('b'), '=/api/only': plain('a') }),
      hostOf('*.wild.example', { '/': plain('b') }),
      hostOf('', { '/any': plain('a') }),
    ];
    expect((await made.driver.apply(routing({ hosts }))).rejected).toEqual([]);
    const wanted: [string, string, string][] = [
      ['shop.example', '/', 'a'],
      ['SHOP.Example:8080', '/api', 'b'],
      ['shop.example.', '/api/', 'b'],
      ['shop.example', '/api/only', 'a'],
      ['shop.example', '/api/only/x', 'b'],
      ['shop.example', '/apix', 'a'],
      ['x.wild.example', '/', 'b'],
      ['X.wild.example.:80', '/', 'b'],
      ['x.y.wild.example', '/', '404'],
      ['wild.example', '/any', 'a'],
      ['[::1]:80', '/any/thing', 'a'],
      ['127.0.0.1', '/', '404'],
      ['shop.example/api', '/', '400'],
      ['-', '/any', 'a'],
      ['*.wild.example', '/', '400'],
      ['wild.example*', '/', '400'],
    ];
    for (const [host, target, backend] of wanted)
      expect([host, target, await backendAt(made, target, host)]).toEqual([host, target, backend]);
    const head = 'POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length:';
    expect((await askRaw(portOf(made), `${head} ${defaultBodyBytesMax + 1}\r\n\r\n`)).status).toBe(413);
  });

  test('time-outs of a backend are its own, and change without another process', async () => {
    await using made = await haproxyDriver();
    const within = (responseMs: number) =>
      shop('a', { backends: [backendOf('a', [a.port], { timeouts: { ...defaultTimeouts, responseMs } })] });
    await made.driver.apply(within(200));
    expect(await backendAt(made, '/slow')).toBe('504');
    a.release();
    expect((await made.driver.apply(within(30_000))).reloaded).toBe(false);
    const before = a.requests;
    const slow = backendAt(made, '/slow');
    await until(() => a.requests > before);
    await systemClock.sleep(400);
    a.release();
    expect(await slow).toBe('a');
  });

  test('one that crashes is started again with what it had, and health says so meanwhile', async () => {
    await using made = await haproxyDriver();
    await made.driver.apply(shop('a'));
    await made.driver.apply(shop('b'));
    const { pid } = servingOf(made);
    process.kill(pid, 'SIGKILL');
    await eventually(
      () => made.driver.health(),
      ({ ok }) => !ok || servingOf(made).pid !== pid,
    );
    await eventually(
      () => made.driver.health(),
      ({ ok }) => ok && servingOf(made).pid !== pid,
    );
    expect(await backendAt(made)).toBe('b');
  });

  test('what somebody else changed is put right', async () => {
    await using made = await haproxyDriver({ lookEveryMs: 50 });
    await made.driver.apply(shop('a'));
    const socket = socketOf(made);
    const place = /^- p\d+|^0x\S+ shop\.example\/ (\S+)/m.exec(await socket.ask('show map routes.map'))![1]!;
    await socket.ask('clear map routes.map');
    await eventually(
      () => backendAt(made),
      (backend) => backend === 'a',
    );
    await socket.ask(`set server ${place}/127.0.0.1-${a.port} state maint`);
    await eventually(
      () => backendAt(made),
      (backend) => backend === 'a',
    );
    await socket.ask(`add server ${place}/127.0.0.1-${b.port} 127.0.0.1:${b.port}`);
    await socket.ask(`set server ${place}/127.0.0.1-${b.port} state ready`);
    await eventually(
      () => socket.ask('show servers state'),
      (text) => !text.includes(` ${place} 2 `), // the second server of its place
    );
    expect(await backendAt(made)).toBe('a');
  });

  test('it outlives who started it: the next one takes it over, with its port and its connections', async () => {
    const home = await mkdtemp(join(tmpdir(), 'pintle-haproxy-'));
    const folder = join(home, 'data');
    const program = join(import.meta.dir, 'fixtures/haproxy-program.ts');
    const starter = spawnDuplex([process.execPath, program, folder, JSON.stringify(shop('a'))]);
    const port = Number.parseInt(await readUntil(starter.stdout.getReader(), '\n'), 10);
    const { pid } = servingOf({ folder });
    const ask = (target: string) => askRaw(port, `GET ${target} HTTP/1.1\r\nHost: shop.example\r\n\r\n`);
    const before = a.requests;
    const slow = ask('/slow');
    await until(() => a.requests > before);
    starter.kill('SIGKILL');
    await starter.exited;
    expect((await ask('/')).status).toBe(200);
    {
      await using second = await haproxyDriver({ folder });
      expect([portOf(second), await backendAt(second)]).toEqual([port, 'a']);
      expect((await second.driver.apply(shop('b'))).reloaded).toBe(true);
      expect([portOf(second), await backendAt(second)]).toEqual([port, 'b']);
      a.release();
      expect(JSON.parse((await slow).body).backend).toBe('a');
      await eventually(
        () => processesOf(second),
        (pids) => !pids.includes(pid),
      );
    }
    expect(processesOf({ folder })).toEqual([]);
    await rm(home, { recursive: true });
  });

  test('it leaves nothing, keeps no key, and belongs to nobody else', async () => {
    const made = await haproxyDriver();
    await made.driver.apply(shop('a'));
    const { pid } = servingOf(made);
    expect(readdirSync(made.folder).filter((name) => name.endsWith('.pem'))).toEqual([]);
    if (process.getuid?.() === 0) {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      expect(/^Uid:\s+(\d+)\s+(\d+)/m.exec(status)!.slice(1)).toEqual(['65534', '65534']);
      expect(/^CapEff:\s+(\S+)/m.exec(status)![1]).toMatch(/^0+$/);
    }
    await made[Symbol.asyncDispose]();
    expect(processesOf(made)).toEqual([]);
    expect(existsSync(made.folder)).toBe(false);
    await rejection(made.driver.apply(shop('b')));
  });

  test('a routing that cannot be had leaves the former one in force; a port that is taken costs its listener alone', async () => {
    await using made = await haproxyDriver();
    await made.driver.apply(shop('a'));
    const taken = { name: 'taken', protocol: 'http', ip: '127.0.0.1', port: a.port } as const;
    const { rejected } = await made.driver.apply({ ...shop('b'), listeners: [...shop('b').listeners, taken] });
    expect(rejected.map(({ id }) => id)).toEqual(['taken']);
    expect(await backendAt(made)).toBe('b');
    await rejection(made.driver.apply({ ...shop('a'), listeners: [taken] }));
    const hostile = { ...defaultLimits, trustedProxies: ['::1 }\n  bind :1', '192.0.2.0/24'] };
    const applied = await made.driver.apply({ ...shop('b'), limits: hostile });
    expect(applied.rejected.map(({ id }) => id)).toEqual(['trustedProxies']);
    await rejection(made.driver.apply({ ...shop('a'), limits: { ...defaultLimits, keepAliveMs: Number.NaN } }));
    expect(await backendAt(made)).toBe('b');
    expect(await made.driver.health()).toEqual({ ok: true });
  });

  test('the runtime socket tells a refusal, takes long payloads and does not wait for ever', async () => {
    await using made = await haproxyDriver();
    await made.driver.apply(shop('a'));
    const socket = socketOf(made);
    for (const command of [
      'nonsense',
      'add server nowhere/x 127.0.0.1:1',
      'set ssl cert none.pem <<\nx\n',
      'show map none',
    ])
      expect(await rejection(socket.ask(command))).toBeInstanceOf(RuntimeSocketError);
    expect(await rejection(runtimeSocket(`${made.folder}/none.sock`, systemClock).ask('show info'))).toBeInstanceOf(
      RuntimeSocketError,
    );
    const paths = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, index) => [`/${'x'.repeat(100)}/${index}`, plain('a')]),
    );
    await made.driver.apply(routing({ hosts: [hostOf('long.example', paths)] }));
    expect(await backendAt(made, `/${'x'.repeat(100)}/999/y`, 'long.example')).toBe('a');
    expect(await backendAt(made, `/${'x'.repeat(100)}/1000`, 'long.example')).toBe('404');
  });
});
