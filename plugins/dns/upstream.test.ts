import { expect, test } from 'bun:test';
import { decode, encode } from 'dns-packet';
import { systemClock } from '#base';
import { parseQuery } from './query.ts';
import { askUpstream } from './upstream.ts';

const name = 'www.example';
const query = parseQuery(encode({ id: 1, type: 'query', questions: [{ name, type: 'A' }] }));
const key = 'key' in query ? query.key : '';
const question = { key, dnssec: false, checkingDisabled: false };
const answer = (id: number, data: string, of = name): Uint8Array =>
  encode({
    id,
    type: 'response',
    questions: [{ name: of, type: 'A' }],
    answers: [{ name: of, type: 'A', ttl: 60, data }],
  });

test('forged answers are passed over, from whomever and however many', async () => {
  const forger = await Bun.udpSocket({ hostname: '127.0.0.1', socket: { error() {} } });
  const ports = new Set<number>();
  const ids = new Set<number>();
  const server = await Bun.udpSocket({
    hostname: '127.0.0.1',
    socket: {
      error() {}, // the client has what it wants, and is gone
      data(own, packet, port, address) {
        const { id = 0 } = decode(Buffer.from(packet));
        ports.add(port);
        ids.add(id);
        own.send(answer((id + 1) & 0xffff, '192.0.2.66'), port, address);
        own.send(answer(id, '192.0.2.66', 'bank.example'), port, address);
        own.send(new Uint8Array([id >> 8, id & 255, 0x80]), port, address);
        forger.send(answer(id, '192.0.2.66'), port, address); // the right id, from another port
        own.send(answer(id, '192.0.2.1'), port, address);
      },
    },
  });
  const ask = askUpstream(systemClock, 20_000);
  const { signal } = new AbortController();
  for (let index = 0; index < 16; index++) {
    const got = await ask({ ip: '127.0.0.1', port: server.port }, question, signal);
    const [first] = decode(Buffer.from(got!.encoded.bytes)).answers ?? [];
    expect((first as { data: string }).data).toBe('192.0.2.1');
  }
  expect(ports.size).toBeGreaterThan(8); // who has to guess has to guess both
  expect(ids.size).toBeGreaterThan(8);
  server.close();
  forger.close();
}, 30_000);

test('nobody there, or nobody who speaks: no answer, and no throw', async () => {
  const silent = await Bun.udpSocket({ hostname: '127.0.0.1' });
  const ask = askUpstream(systemClock, 50);
  const { signal } = new AbortController();
  expect(await ask({ ip: '127.0.0.1', port: silent.port }, question, signal)).toBeUndefined();
  const { port } = silent;
  silent.close();
  expect(await ask({ ip: '127.0.0.1', port }, question, signal)).toBeUndefined();
  expect(await ask({ ip: '127.0.0.1', port }, question, AbortSignal.abort())).toBeUndefined();
});
