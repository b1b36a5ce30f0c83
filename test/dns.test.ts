import { afterEach, beforeEach, expect, test } from 'bun:test';
import {
  clusterRoleKind,
  configMapKind,
  endpointSliceKind,
  isReason,
  nodeKind,
  roleKind,
  secretKind,
  serviceKind,
} from '#api';
import { DnsCluster, until } from './fixtures/dns-cluster.ts';

let cluster: DnsCluster;
beforeEach(async () => {
  cluster = await DnsCluster.start();
}, 60_000);
afterEach(() => cluster[Symbol.asyncDispose](), 60_000);

const announce = (endpoint: string | null) =>
  cluster.client.patch(
    nodeKind,
    { name: 'n1' },
    { type: 'merge', body: { metadata: { annotations: { 'dns.pintle.dev/endpoint': endpoint } } } },
  );
const slices = async () =>
  (await cluster.client.list(endpointSliceKind, { namespace: 'kube-system' })).items.map(
    ({ metadata, endpoints = [] }) =>
      `${metadata.name} ${endpoints.map(({ addresses, conditions }) => `${addresses[0]} ${conditions?.ready}`).join()}`,
  );
const untilSlices = (wanted: string) =>
  until(wanted, async () => ((await slices()).join(';') === wanted ? true : undefined));

test('a second start finds everything, and puts back rights that somebody changed', async () => {
  const key = { namespace: 'kube-system', name: 'system:pintle:dns' };
  const { rules } = await cluster.client.get(roleKind, key);
  await cluster.client.patch(roleKind, key, { type: 'merge', body: { rules: [] } });
  await cluster.startApiPart();
  expect((await cluster.client.get(roleKind, key)).rules).toEqual(rules);
  expect(await cluster.client.get(clusterRoleKind, { name: key.name })).toBeDefined();
});

test('an address that somebody else took is a start that fails with the reason', async () => {
  const key = { namespace: 'kube-system', name: 'kube-dns' };
  await cluster.service('first', { clusterIP: '10.96.0.11', ports: [{ port: 80 }] });
  const { spec } = await cluster.client.get(serviceKind, key);
  expect(spec?.clusterIP).toBe('10.96.0.10');
  await cluster.client.patch(serviceKind, key, {
    type: 'merge',
    body: { spec: { type: 'ExternalName', externalName: 'x.example', clusterIP: null, clusterIPs: null, ports: null } },
  });
  await cluster.service('thief', { clusterIP: '10.96.0.10', ports: [{ port: 80 }] });
  await cluster.client.delete(serviceKind, key);
  const failure = await cluster.startApiPart().then(
    () => undefined,
    (error: unknown) => String(error),
  );
  expect(failure).toContain('provided IP is already allocated');
}, 60_000);

test('endpoints follow what the node says, and whether it is heard of', async () => {
  await announce('10.244.0.1:10053');
  await untilSlices('kube-dns-10053 10.244.0.1 true');
  const heard = (status: string) => {
    const body = { status: { conditions: [{ type: 'Ready', status, reason: 'Test', message: '' }] } };
    return cluster.client.patch(nodeKind, { name: 'n1' }, { type: 'merge', body }, { subresource: 'status' });
  };
  await heard('Unknown');
  await untilSlices('kube-dns-10053 10.244.0.1 false');
  await heard('True');
  await announce('10.244.0.1:4000');
  await untilSlices('kube-dns-4000 10.244.0.1 true');
  await announce(null);
  await untilSlices('');
}, 60_000);

test('the parts may do what they need, and nothing beside it', async () => {
  const key = { namespace: 'kube-system', name: 'kube-dns' };
  await cluster.settings({ driver: 'embedded' });
  const proxy = cluster.clientOf('proxy');
  expect((await proxy.get(configMapKind, key)).data).toEqual({ driver: 'embedded' });
  const own = { namespace: 'kube-system', fieldSelector: 'metadata.name=kube-dns' };
  expect((await proxy.list(configMapKind, own)).items).toHaveLength(1);
  const forbidden: [what: string, work: () => Promise<unknown>][] = [
    ['other settings', () => proxy.get(configMapKind, { namespace: 'kube-system', name: 'other' })],
    ['all settings', () => proxy.list(configMapKind, { namespace: 'kube-system' })],
    ['settings elsewhere', () => proxy.get(configMapKind, { namespace: 'shop', name: 'kube-dns' })],
    ['secrets', () => proxy.list(secretKind, { namespace: 'kube-system' })],
    [
      'a node that makes endpoints',
      () => cluster.clientOf('node').list(endpointSliceKind, { namespace: 'kube-system' }),
    ],
    [
      'services elsewhere',
      () =>
        cluster
          .clientOf('controllers')
          .create(serviceKind, { metadata: { name: 'x', namespace: 'shop' }, spec: { ports: [{ port: 1 }] } } as never),
    ],
  ];
  for (const [what, work] of forbidden) {
    const error = await work().then(
      () => undefined,
      (failure: unknown) => failure,
    );
    expect([what, isReason(error, 'Forbidden')]).toEqual([what, true]);
  }
}, 60_000);
