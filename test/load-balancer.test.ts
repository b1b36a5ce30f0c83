import { expect, test } from 'bun:test';
import { eventKind, type KubeObject, type Service, serviceKind } from '#api';
import type { Client } from '#client';
import { type AddressPool, addressPoolKind, cleanupFinalizer } from '../plugins/load-balancer/kinds.ts';
import controllers from '../plugins/load-balancer/plugin.ts';
import { until } from './fixtures/eventually.ts';
import { PartsCluster } from './fixtures/parts-cluster.ts';
import { rejection } from './fixtures/rejection.ts';

const plugins = [
  { name: 'crd', enabled: true, api: () => import('../plugins/crd/api.ts') },
  { name: 'load-balancer', enabled: true, requires: ['crd'], api: () => import('../plugins/load-balancer/api.ts') },
];
type ServiceObject = Service & KubeObject;
const namespace = 'default';
const create = (client: Client, name: string, spec: object = {}) =>
  client.create(serviceKind, {
    metadata: { name, namespace },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }], selector: { app: name }, ...spec },
  } as ServiceObject);
const pool = (client: Client, name: string, addresses: string[]) =>
  client.create(addressPoolKind, {
    apiVersion: 'net.pintle.dev/v1',
    kind: 'AddressPool',
    metadata: { name },
    spec: { addresses },
  } as AddressPool);
const get = (client: Client, name: string) => client.get(serviceKind, { namespace, name }) as Promise<ServiceObject>;
const ipsOf = async (client: Client, name: string) =>
  (await get(client, name)).status?.loadBalancer?.ingress?.map(({ ip, ipMode }) => `${ip} ${ipMode}`) ?? [];
const has = (client: Client, name: string, ip: string) =>
  until(async () => Bun.deepEquals(await ipsOf(client, name), [`${ip} VIP`]));
const said = async (client: Client, name: string) =>
  (await client.list(eventKind)).items
    .filter(({ involvedObject }) => involvedObject?.name === name)
    .map(({ reason, message }) => `${reason}: ${message}`);

test('a service waits for a pool, with an event that says so; the pool gives it an address', async () => {
  await using cluster = await PartsCluster.start(plugins);
  const { client } = cluster;
  await using _ = await cluster.startControllers(controllers);
  await create(client, 'web');
  await until(async () => (await said(client, 'web')).length > 0);
  expect(await said(client, 'web')).toEqual([
    'SyncLoadBalancerFailed: Error syncing load balancer: failed to ensure load balancer: no AddressPool gives addresses: create one (kubectl explain addresspool.spec)',
  ]);
  expect(await ipsOf(client, 'web')).toEqual([]);
  await pool(client, 'office', ['192.0.2.64/31']);
  await has(client, 'web', '192.0.2.64');
  expect((await get(client, 'web')).metadata.finalizers).toEqual([cleanupFinalizer]);
  await until(async () => (await said(client, 'web')).length === 3);
  expect(await said(client, 'web')).toEqual(
    expect.arrayContaining([
      'EnsuringLoadBalancer: Ensuring load balancer',
      'EnsuredLoadBalancer: Ensured load balancer',
    ]),
  );
  await until(async () => {
    const { status } = await client.get(addressPoolKind, { name: 'office' });
    return status?.assigned === 1 && status.free === '1';
  });
});

test('an exhausted pool lets a service wait until another gives its address back', async () => {
  await using cluster = await PartsCluster.start(plugins);
  const { client } = cluster;
  await using _ = await cluster.startControllers(controllers);
  await pool(client, 'one', ['192.0.2.64']);
  await create(client, 'first');
  await has(client, 'first', '192.0.2.64');
  await create(client, 'second');
  await until(async () => (await said(client, 'second')).length > 0);
  expect((await said(client, 'second'))[0]).toContain('every IPv4 address of the pools is taken');
  await client.delete(serviceKind, { namespace, name: 'first' });
  await has(client, 'second', '192.0.2.64');
  expect((await rejection(get(client, 'first'))).message).toContain('not found');
  expect(await said(client, 'first')).toEqual(expect.arrayContaining(['DeletedLoadBalancer: Deleted load balancer']));
  await client.patch(
    serviceKind,
    { namespace, name: 'second' },
    { type: 'merge', body: { spec: { type: 'ClusterIP' } } },
  );
  await until(async () => {
    const { metadata, status } = await get(client, 'second');
    return !metadata.finalizers?.length && !status?.loadBalancer?.ingress;
  });
});

test('many at once get an address each, also when the controllers are ended in the middle', async () => {
  await using cluster = await PartsCluster.start(plugins);
  const { client } = cluster;
  await pool(client, 'many', ['192.0.2.0/26']);
  const names = Array.from({ length: 60 }, (_, index) => `s-${index}`);
  const first = await cluster.startControllers(controllers);
  const created = Promise.all(names.map((name) => create(client, name)));
  await until(async () => (await ipsOf(client, 's-5').catch(() => [])).length > 0);
  await first[Symbol.asyncDispose]();
  await created;
  await using _ = await cluster.startControllers(controllers);
  const all = async () => (await Promise.all(names.map((name) => ipsOf(client, name)))).flat();
  await until(async () => (await all()).length === names.length);
  expect(new Set(await all()).size).toBe(names.length);
});

test('services of another class are left alone; a bad pool is refused by name', async () => {
  await using cluster = await PartsCluster.start(plugins);
  const { client } = cluster;
  await using _ = await cluster.startControllers(controllers);
  await pool(client, 'office', ['192.0.2.64/31']);
  await create(client, 'theirs', { loadBalancerClass: 'example.com/lb' });
  await create(client, 'ours');
  await has(client, 'ours', '192.0.2.64');
  expect((await get(client, 'theirs')).metadata.finalizers ?? []).toEqual([]);
  const refused = await rejection(pool(client, 'bad', ['192.0.2.65', '10.96.0.7', 'x']));
  expect(refused.message).toBe(
    'AddressPool.net.pintle.dev "bad" is invalid: [spec.addresses[0]: Invalid value: "192.0.2.65": meets 192.0.2.64/31 of the pool office, spec.addresses[1]: Invalid value: "10.96.0.7": meets the range of service addresses 10.96.0.0/16, spec.addresses[2]: Invalid value: "x": must be a range such as 192.0.2.0/28 (no bits below the prefix), one from an address to a higher one such as 192.0.2.10-192.0.2.20, or an address]',
  );
});
