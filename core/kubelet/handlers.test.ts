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
      runtime: undefined as never,
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
