import { expect, test } from 'bun:test';
import http2 from 'node:http2';
import { systemClock } from '#base';
import { Raw } from './raw.ts';
import { listenOn, maps, send, startPulse, startServer } from './world.ts';

/** Slow senders and slow readers; real seconds. Run: `bun test --timeout 120000 ./test/bad-input/dribble.e2e.ts` */
const cutSecondsMax = 15;
const head = 'Host: a\r\nx-user: admin\r\n';

/** Writes a bit every second until it is stopped. */
async function dribble(write: (text: string) => unknown, text: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await write(text);
    await systemClock.sleep(1000, signal);
  }
}

test('heads and bodies that dribble are cut; a quiet watch is not', async () => {
  await using server = await startServer();
  const port = await listenOn(server);
  const stop = new AbortController();
  using watch = new Raw(port);
  await watch.write(`GET ${maps}?watch=1 HTTP/1.1\r\n${head}\r\n`);
  const senders: [string, string][] = [
    ['', ''],
    ['GET / HTTP/1.1\r\nHost: a\r\n', 'X: y\r\n'],
    [`POST ${maps} HTTP/1.1\r\n${head}Content-Length: 1000\r\n\r\n`, 'x'],
    [`POST ${maps} HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n`, '1\r\nx\r\n'],
    [`POST ${maps} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n`, 'x'],
    [`GET ${maps} HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n`, 'X: y\r\n'],
  ];
  const raws = await Promise.all(
    senders.map(async ([first, more]) => {
      const raw = new Raw(port);
      await raw.write(first);
      if (more) void dribble((text) => raw.write(text), more, stop.signal);
      return raw;
    }),
  );
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  const began = performance.now();
  const body = session.request({ ':path': maps, ':method': 'POST', 'x-user': 'admin' });
  const code = new Promise<number>((resolve) =>
    body.once('response', (headers) => resolve(Number(headers[':status']))),
  );
  body.on('error', () => {});
  void dribble((text) => body.destroyed || body.write(text), 'x', stop.signal);
  expect(await code).toBe(408);
  expect((performance.now() - began) / 1000).toBeLessThan(cutSecondsMax);
  for (const raw of raws) expect(await raw.closed).toBeLessThan(cutSecondsMax + 1); // Bun's clock ticks every four seconds
  stop.abort();
  session.destroy();
  const made = await send(
    server,
    new Request(`https://localhost${maps}`, {
      method: 'POST',
      headers: { 'x-user': 'a' },
      body: '{"metadata":{"name":"seen"}}',
    }),
  );
  expect(made.code).toBe(201);
  while (!watch.received.includes('seen')) await systemClock.sleep(20);
});

test('readers that do not read cost a bound, and the others nothing', async () => {
  await using server = await startServer();
  const port = await listenOn(server);
  const readers = Array.from({ length: 50 }, () => new Raw(port));
  for (const raw of readers) await raw.write(`GET ${maps}?watch=1 HTTP/1.1\r\n${head}\r\n`);
  await Promise.all(readers.map((raw) => raw.status()));
  for (const raw of readers) raw.pause();
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  const pulse = startPulse();
  const write = (index: number) =>
    send(
      server,
      new Request(`https://localhost${maps}/one`, {
        method: index === 0 ? 'POST' : 'PUT',
        headers: { 'x-user': 'a' },
        body: JSON.stringify({ metadata: { name: 'one' }, data: { n: String(index), fill: 'x'.repeat(20_000) } }),
      }),
    );
  const created = await send(
    server,
    new Request(`https://localhost${maps}`, {
      method: 'POST',
      headers: { 'x-user': 'a' },
      body: '{"metadata":{"name":"one"}}',
    }),
  );
  expect(created.code).toBe(201);
  for (let index = 1; index <= 2000; index++) {
    expect((await write(index)).code).toBe(200);
    await systemClock.soon(); // the store in memory answers without a turn of the loop
  }
  const worstMs = pulse.stop();
  Bun.gc(true);
  const grownMb = (process.memoryUsage().rss - before) / 1024 / 1024;
  console.log(
    `50 readers away, 2000 changes of 20 KB: ${grownMb.toFixed(0)} MB more, worst stall ${worstMs.toFixed(0)} ms`,
  );
  expect(grownMb).toBeLessThan(300); // 2 GB when every reader had its own copies
  for (const raw of readers) raw[Symbol.dispose]();
}, 120_000);
