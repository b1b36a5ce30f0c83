import { afterAll, expect, test } from 'bun:test';
import { systemClock } from '#base';
import type { Route } from '../service-proxy.ts';
import { createUserspaceProxy } from './userspace.ts';

const serve = (name: string) => Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response(name) });
const servers = [serve('a'), serve('b')];
const proxy = createUserspaceProxy({ clock: systemClock });
const free = Bun.serve({ port: 0, hostname: '127.77.0.1', fetch: () => new Response() });
const port = free.port!;
await free.stop(true);
const route: Route = {
  id: 'default/web:',
  protocol: 'tcp',
  virtual: { ip: '127.77.0.1', port },
  backends: servers.map((server) => ({ ip: '127.0.0.1', port: server.port!, local: true })),
};
const ask = () =>
  fetch(`http://127.77.0.1:${port}/`, { keepalive: false }).then(
    (answer) => answer.text(),
    () => 'refused',
  );
afterAll(async () => {
  await proxy.purge();
  for (const server of servers) await server.stop(true);
});

test('backends take turns; without a backend connections are refused', async () => {
  expect(await proxy.apply({ routes: [route], podRanges: [] })).toEqual({ refused: [] });
  const answers = [await ask(), await ask(), await ask(), await ask()].sort();
  expect(answers).toEqual(['a', 'a', 'b', 'b']);
  await proxy.apply({ routes: [{ ...route, backends: route.backends.slice(1) }], podRanges: [] });
  expect([await ask(), await ask()]).toEqual(['b', 'b']);
  await proxy.apply({ routes: [{ ...route, backends: [] }], podRanges: [] });
  expect(await ask()).toBe('refused');
});
test('affinity keeps a client at its backend', async () => {
  await proxy.apply({ routes: [{ ...route, affinityTtlMs: 60_000 }], podRanges: [] });
  expect(new Set([await ask(), await ask(), await ask()]).size).toBe(1);
});
test('udp', async () => {
  const echo = await Bun.udpSocket({
    hostname: '127.0.0.1',
    socket: { data: (s, d, p, a) => void s.send(`echo ${d}`, p, a) },
  });
  await proxy.apply({
    routes: [{ ...route, protocol: 'udp', backends: [{ ip: '127.0.0.1', port: echo.port, local: true }] }],
    podRanges: [],
  });
  const answer = Promise.withResolvers<string>();
  const client = await Bun.udpSocket({ socket: { data: (_s, d) => answer.resolve(String(d)) } });
  client.send('hi', port, '127.77.0.1');
  expect(await answer.promise).toBe('echo hi');
  client.close();
  echo.close();
});
test('an address that is not ours is refused with the reason', async () => {
  const { refused } = await proxy.apply({
    routes: [{ ...route, virtual: { ip: '192.0.2.1', port: 80 } }],
    podRanges: [],
  });
  expect(refused[0]?.reason).toContain('cannot listen on 192.0.2.1:80');
});
