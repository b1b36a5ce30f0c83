import { expect, test } from 'bun:test';
import { decode, encode, type Packet, RECURSION_DESIRED } from 'dns-packet';
import fc from 'fast-check';
import { encodeAnswer } from './encode.ts';
import { aged, readForeign } from './foreign.ts';
import { codes, parseQuery, plainBytesMax, type Query, types, udpBytesMax } from './query.ts';
import type { Answer, DnsRecord } from './records.ts';
import { replyCode, replyTo } from './reply.ts';

const packetOf = (name: string, type: 'A' | 'SRV' = 'A', more: Partial<Packet> = {}): Buffer =>
  encode({ id: 7, type: 'query', flags: RECURSION_DESIRED, questions: [{ name, type }], ...more } as Packet);
const opt = { type: 'OPT', name: '.', udpPayloadSize: 4096, flags: 0x8000, options: [] } as never;
function parsed(packet: Uint8Array): Query {
  const query = parseQuery(packet);
  if (!('key' in query)) throw new Error(JSON.stringify(query));
  return query;
}
const answerOf = (answers: DnsRecord[], additional: DnsRecord[] = []): Answer => ({
  code: 0,
  authoritative: true,
  answers,
  authority: [],
  additional,
});

test('a query is read: name in lower case, its question as it was', () => {
  const query = parsed(packetOf('WEB.Shop.svc.cluster.local', 'A', { additionals: [opt] }));
  expect(query).toMatchObject({ id: 7, recursionDesired: true, type: 1, class: 1, name: 'web.shop.svc.cluster.local' });
  expect(query.edns).toEqual({ version: 0, bytesMax: udpBytesMax, dnssec: true });
  expect(Buffer.from(query.question).toString('latin1')).toContain('WEB');
  expect(query.key).toContain('web');
  expect(parsed(packetOf('.')).name).toBe('');
});

/** A packet with some bytes replaced, and what becomes of it. */
const broken: [what: string, packet: Uint8Array, outcome: object][] = [
  ['too short', packetOf('a.b').subarray(0, 11), { type: 'drop' }],
  ['an answer', encode({ id: 7, type: 'response' }), { type: 'drop' }],
  ['a status request', patched(packetOf('a.b'), 2, 0x10), { type: 'refuse', id: 7, code: codes.notImplemented }],
  ['no question', encode({ id: 7, type: 'query' }), { type: 'refuse', id: 7, code: codes.format }],
  ['two questions', patched(packetOf('a.b'), 5, 2), { type: 'refuse', id: 7, code: codes.format }],
  ['a question that ends early', packetOf('abc.de').subarray(0, 18), { type: 'refuse', id: 7, code: codes.format }],
  ['a compressed question', patched(packetOf('abc.de'), 12, 0xc0), { type: 'refuse', id: 7, code: codes.format }],
  ['a label of 64 bytes', patched(packetOf('abc.de'), 12, 64), { type: 'refuse', id: 7, code: codes.format }],
  [
    'additional records that are not there',
    patched(packetOf('a.b'), 11, 1),
    { type: 'refuse', id: 7, code: codes.format },
  ],
  ['two OPT records', packetOf('a.b', 'A', { additionals: [opt, opt] }), { type: 'refuse', id: 7, code: codes.format }],
];
test.each(broken)('%s', (_what, packet, outcome) => expect(parseQuery(packet)).toEqual(outcome as never));

function patched(packet: Buffer, at: number, byte: number): Uint8Array {
  packet[at] = byte;
  return packet;
}

test('any bytes at all: no throw, and never more than was sent plus a header', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, asQuery) => {
      const packet = asQuery ? Uint8Array.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, bytes[0]! & 1, ...bytes]) : bytes;
      const query = parseQuery(packet);
      if ('key' in query) expect(replyCode(query, codes.refused).length).toBeLessThanOrEqual(packet.length + 11);
    }),
    { numRuns: 3_000 },
  );
});

test('a name of the longest kind, and one byte more', () => {
  const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
  expect(parsed(packetOf(long)).name).toBe(long);
  expect(parseQuery(packetOf(`${long}d`))).toMatchObject({ type: 'refuse', code: codes.format });
});

test('bytes that are no letters are written as numbers, so that no name can be taken for another', () => {
  const packet = packetOf('axb.local');
  packet[14] = 0x2e; // a dot inside a label
  expect(parsed(packet).name).toBe('a\\046b.local');
});

test('records come out as they went in, names compressed', () => {
  const name = 'web.shop.svc.cluster.local';
  const records: DnsRecord[] = [
    { name, ttl: 5, type: 'A', address: '10.96.0.20' },
    { name, ttl: 5, type: 'AAAA', address: 'fd00::7' },
    { name, ttl: 5, type: 'CNAME', target: 'db.shop.svc.cluster.local' },
    { name, ttl: 5, type: 'SRV', priority: 0, weight: 33, port: 80, target: 'x.web.shop.svc.cluster.local' },
    { name, ttl: 5, type: 'TXT', text: '1.1.0' },
    {
      name: 'cluster.local',
      ttl: 5,
      type: 'SOA',
      primary: 'ns.dns.cluster.local',
      mailbox: 'hostmaster.cluster.local',
      serial: 9,
    },
  ];
  const query = parsed(packetOf('Web.shop.svc.cluster.local', 'A', { additionals: [opt] }));
  const reply = replyTo(query, encodeAnswer(query.key, answerOf(records)), udpBytesMax);
  const read = decode(Buffer.from(reply));
  expect(read).toMatchObject({ id: 7, type: 'response', flag_aa: true, flag_rd: true, flag_ra: true, flag_tc: false });
  expect(read.questions?.[0]?.name).toBe('Web.shop.svc.cluster.local');
  const data = read.answers!.map((one) => [one.type, (one as { data: unknown }).data]);
  expect(data.slice(0, 4)).toEqual([
    ['A', '10.96.0.20'],
    ['AAAA', 'fd00::7'],
    ['CNAME', 'db.shop.svc.cluster.local'],
    ['SRV', { priority: 0, weight: 33, port: 80, target: 'x.web.shop.svc.cluster.local' }],
  ]);
  expect(data[5]![1]).toMatchObject({ mname: 'ns.dns.cluster.local', serial: 9, minimum: 5, refresh: 7200 });
  expect(read.additionals![0]).toMatchObject({ type: 'OPT', udpPayloadSize: udpBytesMax });
  const plain = encode({ type: 'response', questions: read.questions, answers: read.answers });
  expect(reply.length).toBeLessThan(plain.length);
});

test('what does not fit is cut at a record: additional ones silently, answers with a word', () => {
  const name = 'db.shop.svc.cluster.local';
  const many = Array.from(
    { length: 60 },
    (_unused, index): DnsRecord => ({ name, ttl: 5, type: 'A', address: `10.0.0.${index}` }),
  );
  const query = parsed(packetOf(name));
  const cut = replyTo(query, encodeAnswer(query.key, answerOf(many)), plainBytesMax);
  expect(cut.length).toBeLessThanOrEqual(plainBytesMax);
  const read = decode(Buffer.from(cut));
  expect(read.flag_tc).toBe(true);
  expect(read.answers!.length).toBeGreaterThan(20); // musl before 1.2.4 does not ask again
  const glue = decode(
    Buffer.from(replyTo(query, encodeAnswer(query.key, answerOf(many.slice(0, 1), many)), plainBytesMax)),
  );
  expect([glue.flag_tc, glue.answers!.length]).toEqual([false, 1]);
});

test('a foreign answer is taken for its own question only', () => {
  const query = parsed(packetOf('www.example'));
  const given = (id: number, name: string, more: object = {}) =>
    encode({
      id,
      type: 'response',
      questions: [{ name, type: 'A' }],
      answers: [
        { name, type: 'A', ttl: 60, data: '192.0.2.1' },
        { name, type: 'A', ttl: 20, data: '192.0.2.2' },
      ],
      ...more,
    });
  expect(readForeign(given(8, 'www.example'), 7, query.key)).toBeUndefined();
  expect(readForeign(given(7, 'evil.example'), 7, query.key)).toBeUndefined();
  expect(readForeign(packetOf('www.example'), 7, query.key)).toBeUndefined();
  const read = readForeign(given(7, 'WWW.Example', { additionals: [opt] }), 7, query.key)!;
  expect(read).toMatchObject({ ttlSeconds: 20, code: 0, truncated: false });
  const old = decode(Buffer.from(replyTo(query, aged(read.encoded, 15), udpBytesMax)));
  expect(old.answers!.map((one) => (one as { ttl: number }).ttl)).toEqual([45, 5]);
  expect(old.additionals).toEqual([]);
  const soa = { mname: 'a', rname: 'b', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 9 };
  const denial = { answers: [], flags: 3, authorities: [{ type: 'SOA', name: 'example', ttl: 30, data: soa }] };
  expect(readForeign(given(7, 'www.example', denial), 7, query.key)).toMatchObject({ code: 3, ttlSeconds: 9 });
  expect(readForeign(given(7, 'www.example', { answers: [], flags: 2 }), 7, query.key)?.ttlSeconds).toBeUndefined();
});

test('a foreign answer of any bytes: no throw, and nothing beyond it is read', () => {
  const query = parsed(packetOf('www.example'));
  const head = encode({ id: 7, type: 'response', questions: [{ name: 'www.example', type: 'A' }] });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3)), (tail, counts) => {
      const packet = Uint8Array.from([...head, ...tail]);
      counts.forEach((count, index) => (packet[7 + index * 2] = count));
      const read = readForeign(packet, 7, query.key);
      if (read) expect(replyTo(query, aged(read.encoded, 3), udpBytesMax).length).toBeLessThanOrEqual(packet.length);
    }),
    { numRuns: 3_000 },
  );
});

test('numbers that questions are told by', () => {
  expect(parsed(packetOf('a.b', 'SRV')).type).toBe(types.SRV);
});
