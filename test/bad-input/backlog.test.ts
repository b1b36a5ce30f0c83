import { expect, test } from 'bun:test';
import { systemClock } from '#base';
import { watchBacklogBytesMax } from '../../core/apiserver/watch-stream.ts';
import { maps, send, startServer } from './world.ts';

test('a watcher that does not read is cut by bytes, long before by number', async () => {
  await using server = await startServer();
  const request = (method: string, path: string, body?: string) =>
    new Request(`https://localhost${path}`, { method, headers: { 'x-user': 'a' }, body });
  const watch = await server.fetch(request('GET', `${maps}?watch=1`));
  expect((await send(server, request('POST', maps, '{"metadata":{"name":"big"}}'))).code).toBe(201);
  const fill = 'x'.repeat(1_000_000);
  const changes = Math.ceil(watchBacklogBytesMax / fill.length) + 2;
  for (let index = 0; index < changes; index++) {
    const body = JSON.stringify({ metadata: { name: 'big' }, data: { index: String(index), fill } });
    expect((await send(server, request('PUT', `${maps}/big`, body))).code).toBe(200);
    await systemClock.soon();
  }
  let bytes = 0; // the stream ends by itself: the client has to list again
  for await (const chunk of watch.body as unknown as AsyncIterable<Uint8Array>) bytes += chunk.length;
  expect(bytes).toBeLessThan(10_000_000);
});
