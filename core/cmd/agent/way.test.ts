import { expect, test } from 'bun:test';
import { silentLog, systemClock } from '#base';
import { ServerWay } from './way.ts';

interface Sent {
  readonly url: string;
  readonly connections: string;
  readonly signal: AbortSignal;
  answer(): void;
  fail(error: Error): void;
}
/** A way whose requests wait until they are told what happens to them. */
function newWay(servers = ['https://a', 'https://b']) {
  const sent: Sent[] = [];
  const send = (url: string, init: { signal: AbortSignal; tls: { ca: string } }) =>
    new Promise<Response>((resolve, reject) => {
      const answer = () => resolve(new Response('ok'));
      sent.push({ url, connections: init.tls.ca, signal: init.signal, answer, fail: reject });
      init.signal.addEventListener('abort', () => reject(init.signal.reason as Error));
    });
  const options = { servers: () => servers, ca: 'PEM', clock: systemClock, log: silentLog };
  const way = new ServerWay({ ...options, send: send as unknown as typeof fetch });
  /** Begins a request; its outcome as a word. */
  const ask = async (path: string) => {
    const outcome = way.fetch(new Request(way.baseUrl + path)).then(
      () => 'answered',
      (error: Error) => error.message,
    );
    await systemClock.soon();
    return { outcome, ...sent.at(-1)! };
  };
  return { way, ask };
}
const timedOut = new Error('The operation timed out.');

test('after a silence requests go over new connections; once one answers, what waits on an older one ends', async () => {
  const { ask } = newWay(['https://a']);
  const first = await ask('/first');
  first.answer();
  expect(await first.outcome).toBe('answered');
  const [list, watch, lost] = [await ask('/list'), await ask('/pods?watch=true'), await ask('/leases/x')];
  expect(lost.connections).toBe(first.connections);
  lost.fail(timedOut);
  expect(await lost.outcome).toBe(timedOut.message);
  const second = await ask('/second');
  expect(second.connections).not.toBe(first.connections);
  expect([list.signal.aborted, watch.signal.aborted]).toEqual([false, false]); // the server may be down, or slow
  second.answer();
  expect(await second.outcome).toBe('answered');
  for (const one of [list, watch]) expect(await one.outcome).toBe('the connection was silent, and others are answered');
  expect(first.signal.aborted).toBe(false); // its answer had begun
  expect((await ask('/third')).connections).toBe(second.connections);
});

test('while nobody answers there is nothing to give up: connections are not named anew with each failure', async () => {
  const { ask } = newWay(['https://a']);
  for (const path of ['/1', '/2']) {
    const one = await ask(path);
    one.fail(timedOut);
    await one.outcome;
  }
  expect((await ask('/3')).connections).toBe((await ask('/4')).connections);
});

test('a host that moves gives its connections up at once, and stays with its server', async () => {
  const { way, ask } = newWay();
  const place = way.place();
  const [request, watch] = [await ask('/x'), await ask('/pods?watch=true')];
  way.moved('it moved');
  for (const one of [request, watch]) expect(await one.outcome).toBe('the connection was given up: it moved');
  expect(place.aborted).toBe(true);
  expect(way.place().aborted).toBe(false);
  const next = await ask('/y');
  expect(next.url).toBe('https://a/y');
  expect(next.connections).not.toBe(request.connections);
});

test('a server that falls silent elsewhere: connections to it are given up, those to others and the place stay', async () => {
  const { way, ask } = newWay();
  const place = way.place();
  const watch = await ask('/pods?watch=true');
  way.fellSilent('https://b');
  expect(watch.signal.aborted).toBe(false);
  way.fellSilent('https://a');
  expect(await watch.outcome).toBe('the connection was given up: nothing comes from https://a');
  expect(place.aborted).toBe(false);
});

test('a request that fails leads to the next server', async () => {
  const { ask } = newWay();
  const one = await ask('/x');
  one.fail(timedOut);
  await one.outcome;
  expect((await ask('/x')).url).toBe('https://b/x');
});
