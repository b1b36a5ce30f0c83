// Packets that no resolver makes, through the whole server but its sockets.
import { expect, test } from 'bun:test';
import { decode, encode, type Packet, RECURSION_DESIRED } from 'dns-packet';
import fc from 'fast-check';
import type { EndpointSlice, KubeObject, Service } from '#api';
import { silentLog, systemClock } from '#base';
import { Forwarder } from './forwarder.ts';
import { plainBytesMax, udpBytesMax } from './query.ts';
import { Responder } from './responder.ts';
import { readSettings } from './settings.ts';
import { hostLimits, Source } from './sources.ts';

const headless = { metadata: { name: 'db', namespace: 'shop' }, spec: { clusterIP: 'None' } } as Service & KubeObject;
const endpoints = Array.from({ length: 200 }, (_, index) => ({ addresses: [`10.244.0.${index}`] }));
const slice = { addressType: 'IPv4', metadata: { namespace: 'shop' }, endpoints } as EndpointSlice & KubeObject;
const { signal } = new AbortController();
const responder = new Responder({
  view: {
    hasNamespace: (name) => name === 'shop',
    service: (_namespace, name) => (name === 'db' ? headless : undefined),
    slices: () => [slice],
    servicesAt: () => [],
    slicesAt: () => [],
  },
  zone: () => ({ domain: 'cluster.local', ttlSeconds: 5, serial: 1 }),
  version: () => 0,
  settings: () => readSettings({ hosts: '192.0.2.9 printer.example' }, 'cluster.local').settings,
  forwarder: new Forwarder({
    ask: async () => undefined,
    clock: systemClock,
    log: silentLog,
    signal,
    cacheSecondsMax: () => 30,
  }),
  clock: systemClock,
});
const turn = new Source(hostLimits, systemClock);

const opt = (udpPayloadSize: number) =>
  ({ type: 'OPT', name: '.', udpPayloadSize, flags: 0x8000, options: [{ code: 10, data: Buffer.alloc(8) }] }) as never;
const question = (name: string, type: string, more: Partial<Packet> = {}): Buffer =>
  encode({ id: 0x1234, type: 'query', flags: RECURSION_DESIRED, questions: [{ name, type: type as 'A' }], ...more });
/** Kept: each kind of question that is treated in a way of its own. New ones are added when one of them breaks something. */
const seeds: readonly Buffer[] = [
  question('db.shop.svc.cluster.local', 'A'),
  question('db.shop.svc.cluster.local', 'A', { additionals: [opt(4096)] }),
  question('db.shop.svc.cluster.local', 'A', { additionals: [opt(0)] }),
  question('_http._tcp.db.shop.svc.cluster.local', 'SRV'),
  question('cluster.local', 'SOA'),
  question('db.shop.svc.cluster.local', 'ANY', { additionals: [opt(65_535)] }),
  question('4.3.2.10.in-addr.arpa', 'PTR'),
  question('printer.example', 'A'),
  question('.', 'NS'),
  question('10-244-0-7.shop.pod.cluster.local', 'A', { additionals: [opt(1_232), opt(512)] }),
];
const ofWho = (packet: Uint8Array): number => (packet[0]! << 8) | packet[1]!;

/** What holds for every packet by UDP: no throw; a reply of this id, marked as one, that can be read and is as large as was asked for at most. */
async function check(packet: Uint8Array): Promise<void> {
  const reply = await responder.respond(packet, { stream: false, address: '10.244.0.9', turn });
  if (!reply) return;
  expect(ofWho(reply)).toBe(ofWho(packet));
  expect(reply[2]! & 0x80).toBe(0x80);
  expect(reply.length).toBeLessThanOrEqual(udpBytesMax);
  const read = decode(Buffer.from(reply));
  const asksForMore = (read.additionals ?? []).some(({ type }) => type === 'OPT');
  if (!asksForMore) expect(reply.length).toBeLessThanOrEqual(plainBytesMax);
}

test.each(seeds.map((seed, index) => [index, seed] as const))('seed %d as it is', (_index, seed) => check(seed));

test('seeds with bytes changed, cut, doubled and joined', async () => {
  const change = fc.tuple(fc.nat(80), fc.nat(255));
  const packets = fc
    .tuple(
      fc.constantFrom(...seeds),
      fc.constantFrom(...seeds),
      fc.array(change, { maxLength: 6 }),
      fc.nat(120),
      fc.boolean(),
    )
    .map(([seed, other, changes, length, joined]) => {
      const packet = Uint8Array.from(joined ? [...seed, ...other] : seed);
      for (const [at, byte] of changes) if (at < packet.length) packet[at] = byte;
      return length < 100 ? packet.subarray(0, length) : packet;
    });
  await fc.assert(fc.asyncProperty(packets, check), { numRuns: 2_000 });
});

test('any bytes', () => fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 700 }), check), { numRuns: 1_000 }));
