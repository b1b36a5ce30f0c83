// Real packets through the real rules, in namespaces of our own: client -- router (the host with the rules) -- backends.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Log, silentLog, systemExec } from '#base';
import { createNftablesProxy } from '../../net/proxies/nftables.ts';
import type { Route } from '../../net/service-proxy.ts';
import { askCode, backendsCode, type ProxyHarness, proxyContract } from '../contracts/proxy.ts';
import { skipped } from '../fixtures/skipped.ts';

const id = `pt${process.pid % 10_000}`;
const [host, pods] = [`${id}h`, `${id}p`];
const run = async (...argv: string[]) => {
  const result = await systemExec.run(argv);
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
  return result.stdout;
};
const able = process.getuid?.() === 0 && Bun.which('nft') && Bun.which('ip') && Bun.which('nsenter');
if (!able) skipped('net', 'the nftables proxy', 'it needs root, nft, ip and nsenter');
const netns = `/run/netns/${host}`;
/** What the proxy complained about: a change that the kernel refuses is slow, and hidden by writing everything. */
const complaints: string[] = [];
const log: Log = { ...silentLog, warn: (text) => void complaints.push(text) };
const make = () =>
  createNftablesProxy({
    log,
    tableName: `pintle_${id}`,
    exec: systemExec,
    netns,
    serviceRanges: ['10.96.0.0/16'],
  });
let proxy = make();
let server: Bun.Subprocess | undefined;
const backend = (last: number) => ({ ip: `10.244.0.${last}`, port: 8080, local: true });
const web = (...lasts: number[]): Route => ({
  id: 'default/web:',
  protocol: 'tcp',
  virtual: { ip: '10.96.0.10', port: 80 },
  nodePort: 30080,
  backends: lasts.map(backend),
});
const apply = (...routes: Route[]) => proxy.apply({ routes, podRanges: ['10.244.0.0/16'] });
const backends = [2, 3, 4].map((last) => ({ ip: `10.244.0.${last}`, name: String(last) }));
/** From the host. */
const ask: ProxyHarness['ask'] = async (...asked) =>
  JSON.parse(await run('nsenter', `--net=${netns}`, process.execPath, '-e', askCode(...asked))) as Record<
    string,
    number
  >;

async function start(): Promise<void> {
  for (const name of [host, pods]) await run('ip', 'netns', 'add', name);
  await run('ip', '-n', host, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', pods);
  await run('ip', '-n', host, 'addr', 'add', '10.244.0.1/24', 'dev', 'v0');
  for (const last of [2, 3, 4]) await run('ip', '-n', pods, 'addr', 'add', `10.244.0.${last}/24`, 'dev', 'v1');
  for (const [name, device] of [
    [host, 'v0'],
    [host, 'lo'],
    [pods, 'v1'],
    [pods, 'lo'],
  ] as const)
    await run('ip', '-n', name, 'link', 'set', device, 'up');
  await run('ip', '-n', host, 'route', 'add', 'default', 'via', '10.244.0.2');
  const child = Bun.spawn(['nsenter', `--net=/run/netns/${pods}`, process.execPath, '-e', backendsCode(backends)], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  server = child;
  for await (const chunk of child.stdout) if (new TextDecoder().decode(chunk).includes('ready')) break;
}
async function stop(): Promise<void> {
  server?.kill('SIGKILL');
  for (const name of [host, pods]) await systemExec.run(['ip', 'netns', 'del', name]);
}

if (able)
  proxyContract('nftables', async () => {
    await start();
    return {
      make,
      virtuals: ['10.96.0.10', '10.96.0.11'],
      nodeAddress: '10.244.0.1',
      nodePort: 30_080,
      podRange: '10.244.0.0/16',
      backends,
      ask,
      close: stop,
    };
  });

test.if(Boolean(able))('no change of the contract was refused by the kernel', () => expect(complaints).toEqual([]));

describe.if(Boolean(able))('nftables alone', () => {
  beforeAll(start);
  afterAll(async () => {
    await proxy.purge();
    await proxy[Symbol.asyncDispose]();
    await stop();
  });

  test('a flushed table is written again by the next apply', async () => {
    await apply(web(2));
    await run('nsenter', `--net=${netns}`, 'nft', 'flush', 'ruleset');
    await apply(web(2));
    expect(await ask('10.96.0.10', 80, 2)).toEqual({ 2: 2 });
  });
  test('an established connection survives a restart of the proxy, and rules stay', async () => {
    await apply(web(2));
    const code = `let n = 0; Bun.connect({ hostname: '10.96.0.10', port: 80, socket: { data(s, d) { console.log('got ' + String(d).trim()); if (++n > 1) process.exit(0); } } }).then(async (s) => { for await (const _ of console) s.write('again'); });`;
    const child = Bun.spawn(['nsenter', `--net=${netns}`, process.execPath, '-e', code], {
      stdin: 'pipe',
      stdout: 'pipe',
    });
    const reader = child.stdout.getReader();
    const next = async () => new TextDecoder().decode((await reader.read()).value).trim();
    expect(await next()).toBe('got 2');
    await proxy[Symbol.asyncDispose]();
    expect(await ask('10.96.0.10', 80, 1)).toEqual({ 2: 1 });
    proxy = make();
    await apply(web(2));
    child.stdin.write('go\n');
    child.stdin.flush();
    expect(await next()).toBe('got again');
    child.kill('SIGKILL');
  });
  test('purge leaves no table', async () => {
    await proxy.purge();
    expect(await run('nsenter', `--net=${netns}`, 'nft', 'list', 'tables')).not.toContain(id);
  });
});
