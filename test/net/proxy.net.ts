// Real packets through the real rules, in namespaces of our own: client -- router (the host with the rules) -- backends.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { systemExec } from '#base';
import { createNftablesProxy } from '../../net/proxies/nftables.ts';
import type { Route } from '../../net/service-proxy.ts';
import { skipped } from '../fixtures/skipped.ts';

const id = `pt${process.pid % 10_000}`;
const [host, pods] = [`${id}h`, `${id}p`];
const run = async (...argv: string[]) => {
  const result = await systemExec.run(argv, { timeoutMs: 10_000 });
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
  return result.stdout;
};
const able = process.getuid?.() === 0 && Bun.which('nft') && Bun.which('ip') && Bun.which('nsenter');
if (!able) skipped('net', 'the nftables proxy', 'it needs root, nft, ip and nsenter');
const netns = `/run/netns/${host}`;
const make = () =>
  createNftablesProxy({ tableName: `pintle_${id}`, exec: systemExec, netns, serviceRanges: ['10.96.0.0/16'] });
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
const serverCode = `for (const n of [2,3,4]) Bun.listen({ hostname: '10.244.0.' + n, port: 8080, socket: { open(s) { s.write(String(n) + '\\n'); }, data(s, d) { s.write(d); } } });
for (const n of [2,3]) Bun.udpSocket({ hostname: '10.244.0.' + n, port: 8080, socket: { data(s, d, p, a) { s.send(String(n), p, a); } } });
console.log('ready');`;
/** Connects `count` times from the host; how often each backend answered, `refused` for a reset. */
async function ask(ip: string, port: number, count: number): Promise<Record<string, number>> {
  const code = `const r = {}; for (let i = 0; i < ${count}; i++) { const n = await new Promise((done) => Bun.connect({ hostname: '${ip}', port: ${port}, socket: { data(s, d) { done(String(d).trim()); s.end(); }, connectError() { done('refused'); } } }).catch(() => done('refused'))); r[n] = (r[n] ?? 0) + 1; } console.log(JSON.stringify(r)); process.exit(0);`;
  return JSON.parse(await run('nsenter', `--net=${netns}`, process.execPath, '-e', code));
}

beforeAll(async () => {
  if (!able) return;
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
  const child = Bun.spawn(['nsenter', `--net=/run/netns/${pods}`, process.execPath, '-e', serverCode], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  server = child;
  for await (const chunk of child.stdout) if (new TextDecoder().decode(chunk).includes('ready')) break;
});
afterAll(async () => {
  if (!able) return;
  await proxy.purge();
  await proxy[Symbol.asyncDispose]();
  server?.kill('SIGKILL');
  for (const name of [host, pods]) await systemExec.run(['ip', 'netns', 'del', name]);
});

test.if(Boolean(able))('even spread, only over the given backends', async () => {
  await apply(web(2, 3));
  const counts = await ask('10.96.0.10', 80, 60);
  expect(Object.keys(counts).sort()).toEqual(['2', '3']);
  expect(Math.min(...Object.values(counts))).toBeGreaterThan(10);
});
test.if(Boolean(able))('a change is a delta; the removed backend gets none', async () => {
  await apply(web(3));
  expect(await ask('10.96.0.10', 80, 10)).toEqual({ 3: 10 });
});
test.if(Boolean(able))('node port on an address of the host', async () => {
  expect(await ask('10.244.0.1', 30080, 5)).toEqual({ 3: 5 });
});
test.if(Boolean(able))('affinity keeps the client at one backend', async () => {
  await apply({ ...web(2, 3, 4), affinityTtlMs: 1_000 });
  expect(Object.keys(await ask('10.96.0.10', 80, 10))).toHaveLength(1);
});
test.if(Boolean(able))('no backend and no service: refused at once', async () => {
  await apply(web());
  expect(await ask('10.96.0.10', 80, 2)).toEqual({ refused: 2 });
  await apply();
  expect(await ask('10.96.0.10', 80, 2)).toEqual({ refused: 2 });
});
test.if(Boolean(able))('a flushed table is written again by the next apply', async () => {
  await apply(web(2));
  await run('nsenter', `--net=${netns}`, 'nft', 'flush', 'ruleset');
  await apply(web(2));
  expect(await ask('10.96.0.10', 80, 2)).toEqual({ 2: 2 });
});
test.if(Boolean(able))('an established connection survives a restart of the proxy, and rules stay', async () => {
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
test.if(Boolean(able))('purge leaves no table', async () => {
  await proxy.purge();
  expect(await run('nsenter', `--net=${netns}`, 'nft', 'list', 'tables')).not.toContain(id);
});
