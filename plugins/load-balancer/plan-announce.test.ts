import { expect, test } from 'bun:test';
import type { AddressPool } from './kinds.ts';
import { type Cluster, heldBy } from './plan-announce.ts';

const hosts = ['h1', 'h2', 'h3'];
const node = (name: string, ready = 'True', labels = {}) => ({
  metadata: { name, labels },
  status: { conditions: [{ type: 'Ready', status: ready }] },
});
const ips = Array.from({ length: 60 }, (_, index) => `192.0.2.${index}`);
const service = (ip: string, spec: object = {}) => ({
  metadata: { namespace: 'default', name: `s-${ip}` },
  spec: { type: 'LoadBalancer', ...spec },
  status: { loadBalancer: { ingress: [{ ip }] } },
});
const pool = { metadata: { name: 'p' }, spec: { addresses: ['192.0.2.0/24'] } } as AddressPool;
const cluster = (of: object): Cluster =>
  ({
    services: ips.map((ip) => service(ip)),
    pools: [pool],
    nodes: hosts.map((name) => node(name)),
    slicesOf: () => [],
    ...of,
  }) as unknown as Cluster;
const sharesOf = (of: object) => hosts.map((host) => heldBy(host, cluster(of)));

test('each address is held by one host, and every host has some', () => {
  const shares = sharesOf({});
  expect(shares.flat().sort()).toEqual([...ips].sort());
  for (const share of shares) expect(share.length).toBeGreaterThan(5);
});

test('a host that fails loses its addresses, and no other one moves', () => {
  const [first, second, third] = sharesOf({});
  const after = sharesOf({ nodes: [node('h1'), node('h2', 'Unknown'), node('h3')] });
  expect(after[1]).toEqual([]);
  expect(after.flat().sort()).toEqual([...ips].sort());
  expect(after[0]).toEqual(expect.arrayContaining(first!));
  expect(after[2]).toEqual(expect.arrayContaining(third!));
  expect(second!.length).toBeGreaterThan(0);
});

test('a host that is excluded holds none', () => {
  const label = { 'node.kubernetes.io/exclude-from-external-load-balancers': '' };
  expect(heldBy('h1', cluster({ nodes: [node('h1', 'True', label), node('h2')] }))).toEqual([]);
});

test('under the policy Local only hosts with ready endpoints hold the address', () => {
  const services = [service('192.0.2.1', { externalTrafficPolicy: 'Local' })];
  const slices = (ready: boolean) => () => [
    {
      endpoints: [
        { nodeName: 'h2', conditions: { ready } },
        { nodeName: 'h1', conditions: { ready: false } },
      ],
    },
  ];
  expect(sharesOf({ services, slicesOf: slices(true) })).toEqual([[], ['192.0.2.1'], []]);
  expect(sharesOf({ services, slicesOf: slices(false) })).toEqual([[], [], []]);
});

test('nothing is held of services of others, and of pools that somebody else routes', () => {
  expect(sharesOf({ pools: [{ ...pool, spec: { ...pool.spec, announce: false } }] })).toEqual([[], [], []]);
  expect(sharesOf({ services: [service('192.0.2.1', { loadBalancerClass: 'example.com/lb' })] })).toEqual([[], [], []]);
  expect(sharesOf({ services: [service('198.51.100.1')] })).toEqual([[], [], []]);
});
