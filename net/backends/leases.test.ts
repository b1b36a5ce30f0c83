import { expect, test } from 'bun:test';
import type { Lease } from '../backend.ts';
import { LeaseReader } from './lease-reader.ts';
import { canonical, directPeers, hostAddresses, parseRange, servedPeers, withPort } from './leases.ts';
import { deviceName, overlayMac, routeMetric, vxlanNetwork, vxlanPort, wireguardPort } from './names.ts';

const local = { node: 'own', subnets: ['10.1.0.0/24', 'fd01::/64'], endpoint: '192.0.2.1', underlayMtuBytes: 1500 };
const lease = (node: string, more: Partial<Lease> = {}): Lease => ({
  node,
  subnets: [`10.1.${node.charCodeAt(0)}.0/24`],
  endpoint: '192.0.2.9',
  backend: 'test',
  data: {},
  ...more,
});
const reader = () => new LeaseReader(local, 'test', ({ data }) => data['bad'] ?? {});
const read = (leases: readonly Lease[]) => {
  const { peers, rejected } = reader().read(leases);
  return {
    served: peers.map((peer) => peer.lease.node),
    rejected: rejected.map(({ node, reason }) => `${node}: ${reason}`),
  };
};

test.each([
  ['nobody', [], [], []],
  ['this host itself', [lease('own')], [], []],
  ['two', [lease('b'), lease('a')], ['a', 'b'], []],
  ['wrong data', [lease('a', { data: { bad: 'no key' } }), lease('b')], ['b'], ['a: no key']],
  ['no subnet', [lease('a', { subnets: [] })], [], ['a: it has no subnet']],
  [
    'bits below the prefix',
    [lease('a', { subnets: ['10.1.9.1/24'] })],
    [],
    ['a: its subnet "10.1.9.1/24" is no range such as 10.42.3.0/24'],
  ],
  [
    'ours within',
    [lease('a', { subnets: ['10.0.0.0/8'] })],
    [],
    ["a: its subnet 10.0.0.0/8 overlaps with this host's own"],
  ],
  [
    'ours, IPv6',
    [lease('a', { subnets: ['fd01::/48'] })],
    [],
    ["a: its subnet fd01::/48 overlaps with this host's own"],
  ],
  [
    'the first by name keeps it',
    [
      lease('b', { subnets: ['10.2.0.0/16'] }),
      lease('c', { subnets: ['10.2.3.0/24'] }),
      lease('a', { subnets: ['10.2.3.0/25'] }),
    ],
    ['a'],
    ['b: its subnets overlap with those of a', 'c: its subnets overlap with those of a'],
  ],
  ['by a relay', [lease('a', { relayVia: 'b' }), lease('b')], ['a', 'b'], []],
  [
    'a relay behind a relay',
    [lease('a', { relayVia: 'b' }), lease('b', { relayVia: 'c' }), lease('c')],
    ['b', 'c'],
    ['a: its relay b is not reached directly'],
  ],
])('leases: %s', (_name, leases, served, rejected) => {
  expect(read(leases)).toEqual({ served, rejected });
});

test('what a relay relays is reached through it, and goes with it', () => {
  const { peers, rejected } = reader().read([lease('a', { relayVia: 'b' }), lease('b'), lease('c')]);
  expect(directPeers(peers).map(({ peer, subnets }) => [peer.lease.node, subnets])).toEqual([
    ['b', ['10.1.97.0/24', '10.1.98.0/24']],
    ['c', ['10.1.99.0/24']],
  ]);
  rejected.push({ node: 'b', reason: 'x' });
  expect(servedPeers(peers, rejected).map((peer) => peer.lease.node)).toEqual(['c']);
  expect(rejected.at(-1)).toEqual({ node: 'a', reason: 'its relay b is rejected' });
});

test('a reader knows the same leases again, and reads only what changed', () => {
  const asked: string[] = [];
  const one = new LeaseReader(local, 'test', ({ node }) => {
    asked.push(node);
    return {};
  });
  const isSame = (leases: readonly Lease[]) => one.read(leases).isSame;
  expect(isSame([lease('a'), lease('b')])).toBe(false);
  expect(isSame([lease('b'), lease('a')])).toBe(true);
  expect(isSame([lease('a'), lease('b', { data: { x: '1' } })])).toBe(false);
  expect(isSame([lease('a'), lease('b', { data: { x: '1' } })])).toBe(true);
  expect(isSame([lease('a')])).toBe(false);
  expect(isSame([lease('a', { endpoint: '192.0.2.8' })])).toBe(false);
  expect(asked).toEqual(['a', 'b', 'b', 'a']);
});

test('five hundred leases are read in a few milliseconds', () => {
  const many = Array.from({ length: 500 }, (_, index) =>
    lease(`n${index}`, {
      subnets: [`10.2.${index >> 1}.${(index & 1) * 128}/25`, `fd02:0:0:${index.toString(16)}::/64`],
    }),
  );
  const start = performance.now();
  expect(read(many).served.length).toBe(500);
  expect(performance.now() - start).toBeLessThan(2_000); // a bound for a busy machine; it takes 10
});

test('addresses and ranges as the kernel writes them', () => {
  expect(canonical('FD00:0:0:1::/64')).toBe('fd00:0:0:1::/64');
  expect(withPort('192.0.2.1', 7)).toBe('192.0.2.1:7');
  expect(withPort('2001:DB8:0::1', 7)).toBe('[2001:db8::1]:7');
  expect(hostAddresses(['10.1.2.0/24', 'fd01::/64', '10.9.0.0/24'])).toEqual(['10.1.2.0', 'fd01::']);
  for (const wrong of ['', '10.0.0.0', '10.0.0.0/33', 'fd00::/129', 'fe80::%eth0/64', 'x/8'])
    expect(parseRange(wrong)).toBeUndefined();
});

test('names and numbers differ between clusters and hosts, and stay in their bounds', () => {
  for (let index = 0; index < 200; index++) {
    const id = `cluster-${index}`;
    expect(deviceName('pw', id, 'a').length).toBeLessThanOrEqual(13); // and two characters more
    expect(wireguardPort(id) % 2).toBe(0);
    for (const port of [wireguardPort(id), vxlanPort(id)]) expect(port > 20_999 && port < 30_000).toBe(true);
    expect(vxlanNetwork(id) > 0 && vxlanNetwork(id) < 2 ** 24).toBe(true);
    expect(overlayMac(id, 'a')).toMatch(/^0a(:[0-9a-f]{2}){5}$/);
    expect(
      routeMetric('wireguard', id) < routeMetric('vxlan', id) && routeMetric('vxlan', id) < routeMetric('host-gw', id),
    ).toBe(true);
  }
  expect(deviceName('pw', 'c', 'a')).not.toBe(deviceName('pw', 'c', 'b'));
  expect(overlayMac('c', 'a')).not.toBe(overlayMac('d', 'a'));
});
