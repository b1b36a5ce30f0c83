import { expect, test } from 'bun:test';
import { systemClock } from '#base';
import { runHandler } from './handlers.ts';

test('a probe of a port where nobody listens says so in the usual words', async () => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  const result = await runHandler(
    { httpGet: { port, path: '/healthz' } },
    {
      containerId: 'c',
      container: { name: 'c' },
      podIp: '127.0.0.1',
      runtime: {} as never,
      clock: systemClock,
      timeoutMs: 2000,
      signal: new AbortController().signal,
      agent: 'kube-probe/1.37',
    },
  );
  expect(result).toMatchObject({
    ok: false,
    output: `Get "http://127.0.0.1:${port}/healthz": dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
});

test.each([
  ['tcpSocket', { tcpSocket: { port: 8080 } }],
  ['httpGet', { httpGet: { port: 8080 } }],
])('a runtime whose pods are on no network answers a %s probe itself', async (_what, handler) => {
  const ask = (isRunning: boolean) =>
    runHandler(handler, {
      containerId: 'c',
      container: { name: 'c' },
      podIp: '192.0.2.1',
      runtime: { answers: (id: string) => id === 'c' && isRunning } as never,
      clock: systemClock,
      timeoutMs: 20_000,
      signal: new AbortController().signal,
      agent: 'kube-probe/1.37',
    });
  expect(await ask(true)).toEqual({ ok: true });
  expect(await ask(false)).toEqual({ ok: false, output: 'connection refused' });
});
