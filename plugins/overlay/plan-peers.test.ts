import { expect, test } from 'bun:test';
import type { HostLease } from './kinds.ts';
import { peerMtusBytes } from './plan-peers.ts';

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
