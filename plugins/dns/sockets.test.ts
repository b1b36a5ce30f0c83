import { expect, test } from 'bun:test';
import { silentLog } from '#base';
import { listenDns } from './sockets.ts';

const place = { hostname: '127.0.0.1', port: 0 };
const framed = (text: string): Uint8Array => Uint8Array.from([0, text.length, ...Buffer.from(text)]);

test('a client that says it is done still gets what it asked for, then the end', async () => {
  const gate = Promise.withResolvers<void>();
  await using server = await listenDns(
    place,
    async (packet) => {
      await gate.promise;
      return packet;
    },
    silentLog,
  );
  const closed = Promise.withResolvers<string>();
  let received = '';
  const socket = await Bun.connect({
    hostname: place.hostname,
    port: server.port,
    allowHalfOpen: true,
    socket: {
      data: (_socket, bytes) => void (received += Buffer.from(bytes).toString('latin1')),
      end: (own) => void own.end(),
      close: () => closed.resolve(received),
    },
  });
  socket.write(Uint8Array.from([...framed('one'), ...framed('two').subarray(0, 3)]));
  socket.write(framed('two').subarray(3));
  socket.shutdown(); // end() would close the other way as well
  gate.resolve();
  expect(await closed.promise).toBe('\0\x03one\0\x03two');
});

test('a handler that throws harms no other question', async () => {
  await using server = await listenDns(
    place,
    (packet) => {
      if (packet.length === 3) throw new Error('of this one');
      if (packet.length === 4) return Promise.reject(new Error('of that one'));
      return packet;
    },
    silentLog,
  );
  const { promise, resolve } = Promise.withResolvers<string>();
  const connect = { hostname: place.hostname, port: server.port };
  const socket = await Bun.udpSocket({ connect, socket: { data: (_own, bytes) => resolve(String(bytes)) } });
  for (const text of ['abc', 'abcd', 'hello']) socket.send(text);
  expect(await promise).toBe('hello');
  socket.close();
});

test('one that holds many connections leaves room for others, and may come again when it let go', async () => {
  await using server = await listenDns(place, (packet) => packet, silentLog);
  const connect = async () => {
    const { promise, resolve } = Promise.withResolvers<'answered' | 'cut'>();
    const handlers = {
      data: () => resolve('answered'),
      close: () => resolve('cut'),
      error: () => resolve('cut'),
    };
    const to = { hostname: place.hostname, port: server.port };
    const socket = await Bun.connect({ ...to, socket: handlers });
    socket.write(framed('hello'));
    return { outcome: await promise, socket };
  };
  const held = [];
  for (let index = 0; index < 64; index++) held.push(await connect());
  expect(new Set(held.map(({ outcome }) => outcome))).toEqual(new Set(['answered']));
  expect((await connect()).outcome).toBe('cut');
  for (const { socket } of held) socket.end();
  const until = performance.now() + 20_000;
  let again = '';
  while (again !== 'answered' && performance.now() < until) again = (await connect()).outcome;
  expect(again).toBe('answered');
});

test('a connection beyond the bounds is cut: a length that no question has, too many at once', async () => {
  const never = Promise.withResolvers<undefined>();
  await using server = await listenDns(place, () => never.promise, silentLog);
  for (const bytes of [Uint8Array.of(255, 255), Buffer.concat(Array.from({ length: 40 }, () => framed('q')))]) {
    const closed = Promise.withResolvers<void>();
    const handlers = { data() {}, close: () => closed.resolve(), error: () => closed.resolve() };
    const socket = await Bun.connect({ hostname: place.hostname, port: server.port, socket: handlers });
    socket.write(bytes);
    await closed.promise;
  }
  never.resolve(undefined);
});
