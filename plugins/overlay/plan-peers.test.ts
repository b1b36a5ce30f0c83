import { expect, test } from 'bun:test';
import type { HostLease } from './kinds.ts';
import { markOf, peerMtusBytes, planPeers } from './plan-peers.ts';

const lease = (name: string, spec: Partial<HostLease['spec']>): HostLease => ({
  apiVersion: 'net.pintle.dev/v1',
  kind: 'HostLease',
  metadata: { name },
  spec: { subnets: ['10.44.0.0/24'], ...spec },
});

test('the MTU of peers counts by the backend it was said for, first or further one', () => {
  const others = [
    lease('h1', { backend: 'wireguard', endpoint: '192.0.2.1', mtuBytes: 1440 }),
    lease('h2', { backend: 'wireguard', endpoint: '192.0.2.2', mtuBytes: 1220 }),
    lease('h3', {
      backend: 'vxlan',
      endpoint: '192.0.2.3',
      mtuBytes: 1450,
      offers: [{ backend: 'wireguard', endpoint: '192.0.2.3', mtuBytes: 1400 }],
    }),
    lease('h4', {}), // has published nothing yet
  ];
  expect(peerMtusBytes(others, 'wireguard')).toEqual([1440, 1220, 1400]);
  expect(peerMtusBytes(others, 'vxlan')).toEqual([1450]);
  expect(peerMtusBytes([], 'vxlan')).toEqual([]);
});

const all = (names: string[]): HostLease[] =>
  names.map((name, index) =>
    lease(name, {
      backend: 'wireguard',
      endpoint: `192.0.2.${index}`,
      data: { key: name },
      subnets: [`10.44.${index}.0/24`],
    }),
  );
const cut = (from: HostLease, to: string, relayVia?: string): HostLease => ({
  ...from,
  spec: { ...from.spec, ...(relayVia ? { relayVia } : {}) },
  status: { peers: { wanted: 3, reachable: 2, unreachable: [to] } },
});

test('everybody else who has made the backend ready, in order', () => {
  const [b, a, c] = all(['b', 'a', 'c']);
  const offering = lease('d', {
    backend: 'vxlan',
    endpoint: '192.0.2.9',
    offers: [{ backend: 'wireguard', endpoint: '192.0.2.9' }],
  });
  const peers = planPeers(
    a!,
    [b!, a!, c!, offering, lease('e', {}), lease('f', { backend: 'vxlan', endpoint: 'x' })],
    'wireguard',
  );
  expect(peers.map(({ node, endpoint, data }) => [node, endpoint, data])).toEqual([
    ['b', '192.0.2.0', { key: 'b' }],
    ['c', '192.0.2.2', { key: 'c' }],
    ['d', '192.0.2.9', {}],
  ]);
});

test('a pair that is cut goes by its relay; without one that is reached it is tried directly', () => {
  const [a, b, r] = all(['a', 'b', 'r']);
  const viaR = [cut(a!, 'b', 'r'), cut(b!, 'a', 'r'), r!];
  const wayTo = (leases: HostLease[], from: number, to: string) =>
    planPeers(leases[from]!, leases, 'wireguard').find(({ node }) => node === to)?.relayVia;
  expect([wayTo(viaR, 0, 'b'), wayTo(viaR, 1, 'a'), wayTo(viaR, 0, 'r'), wayTo(viaR, 2, 'a')]).toEqual([
    'r',
    'r',
    undefined,
    undefined,
  ]);
  expect(wayTo(viaR.slice(0, 2), 0, 'b')).toBeUndefined();
  expect(wayTo([cut(a!, 'b', 'r'), b!, r!], 0, 'b')).toBeUndefined();
});

test('equal sets have equal marks, whatever their order; other facts make others', () => {
  const facts = (node: string, key = '1') => ({ node, endpoint: '192.0.2.1', data: { key, port: '2' } });
  expect(markOf([facts('a'), facts('b')])).toBe(markOf([facts('b'), facts('a')]));
  expect(markOf([{ node: 'a', endpoint: '192.0.2.1', data: { port: '2', key: '1' } }])).toBe(markOf([facts('a')]));
  const marks = [markOf([]), markOf([facts('a')]), markOf([facts('b')]), markOf([facts('a', '3')])];
  expect(new Set(marks).size).toBe(4);
});
