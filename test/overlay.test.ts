import { afterEach, beforeEach, expect, test } from 'bun:test';
import { eventKind, type KubeObject, nodeKind, secretKind } from '#api';
import { messageOf } from '#base';
import { type HostLease, hostLeaseKind, networkName, overlayNetworkKind } from '../plugins/overlay/kinds.ts';
import { until } from './fixtures/eventually.ts';
import { OverlayCluster } from './fixtures/overlay-cluster.ts';
import { rejection } from './fixtures/rejection.ts';

let cluster: OverlayCluster;
beforeEach(async () => {
  cluster = await OverlayCluster.start();
}, 60_000);
afterEach(() => cluster[Symbol.asyncDispose](), 60_000);

const lease = (name: string, subnets: readonly string[], more: object = {}) =>
  ({ apiVersion: 'net.pintle.dev/v1', kind: 'HostLease', metadata: { name }, spec: { subnets, ...more } }) as HostLease;
const create = (name: string, subnets: readonly string[], more: object = {}) =>
  cluster.client.create(hostLeaseKind, lease(name, subnets, more));
const refusal = async (work: Promise<unknown>): Promise<string> => messageOf(await rejection(work));
const podCidrs = async (name: string) => (await cluster.client.get(nodeKind, { name })).spec?.podCIDRs;
const untilSubnets = (wanted: Record<string, string[]>) =>
  until(async () => Bun.deepEquals(await cluster.subnets(), wanted));

test('the settings are there from the start, and know the cluster’s ranges', async () => {
  const { spec } = await cluster.client.get(overlayNetworkKind, { name: networkName });
  expect(spec).toMatchObject({ ranges: ['10.44.0.0/16'], backend: 'wireguard', ipv4PrefixBits: 24, rotationHours: 24 });
  const network = (name: string, ranges: string[]) =>
    cluster.client.create(overlayNetworkKind, {
      apiVersion: 'net.pintle.dev/v1',
      kind: 'OverlayNetwork',
      metadata: { name },
      spec: { ranges },
    } as never);
  expect(await refusal(network('other', ['10.9.0.0/16']))).toContain('supported values: "cluster"');
  expect(await refusal(cluster.settings({ ranges: ['10.9.0.0/16'] }))).toContain(
    'the ranges of a cluster never change',
  );
  expect(await refusal(cluster.settings({ ipv4PrefixBits: 12 }))).toContain(
    'is smaller than the subnet of one host (/12)',
  );
  await cluster.addNode('a');
  await create('a', ['10.44.0.0/24']);
  const removal = cluster.client.delete(overlayNetworkKind, { name: networkName });
  expect(await refusal(removal)).toContain('1 hosts hold subnets of it');
}, 60_000);

test('a lease that claims what is not its own is refused by name', async () => {
  for (const name of ['a', 'b']) await cluster.addNode(name);
  await create('a', ['10.44.3.0/24']);
  const wrong: [name: string, subnets: string[], more: object, why: string][] = [
    ['b', ['10.44.3.0/24'], {}, '10.44.3.0/24 belongs to host a'],
    ['b', ['10.44.0.0/20'], {}, '10.44.3.0/24 belongs to host a'],
    ['b', ['10.45.0.0/24'], {}, "10.45.0.0/24 lies outside of the cluster's range 10.44.0.0/16"],
    ['b', ['fd00::/64'], {}, 'the cluster has no IPv6 range'],
    ['b', ['10.44.4.1/24'], {}, '10.44.4.1/24 is no CIDR'],
    ['stranger', ['10.44.4.0/24'], {}, 'metadata.name: Not found: "stranger"'],
    ['b', ['10.44.4.0/24'], { endpoint: '127.0.0.1' }, 'must be an address that other hosts can reach'],
    ['b', ['10.44.4.0/24'], { endpoint: '10.44.9.9' }, "lies in the cluster's own range 10.44.0.0/16"],
    ['b', ['10.44.4.0/24'], { endpoint: 'host.example' }, 'must be an address that other hosts can reach'],
    ['b', ['10.44.4.0/24'], { relayVia: 'b' }, 'a host is no relay for itself'],
    ['b', ['10.44.4.0/24'], { mtuBytes: 100 }, 'spec.mtuBytes'],
  ];
  for (const [name, subnets, more, why] of wrong)
    expect([subnets, more, await refusal(create(name, subnets, more))]).toEqual([
      subnets,
      more,
      expect.stringContaining(why) as never,
    ]);
  const move = { type: 'merge', body: { spec: { subnets: ['10.44.5.0/24'] } } } as const;
  expect(await refusal(cluster.client.patch(hostLeaseKind, { name: 'a' }, move))).toContain(
    'the subnets of a host never change',
  );
  expect(await cluster.subnets()).toEqual({ a: ['10.44.3.0/24'] });
}, 60_000);

test('of many that claim one subnet at once, one gets it', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `h${index}`);
  for (const name of names) await cluster.addNode(name);
  const outcomes = await Promise.allSettled(names.map((name) => create(name, ['10.44.7.0/24'])));
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  const again = names.find((_, index) => outcomes[index]!.status === 'rejected')!;
  await create(again, ['10.44.8.0/24']); // a refusal holds nothing back
  await cluster.client.delete(hostLeaseKind, { name: again });
  await create(names.find((name) => name !== again)!, ['10.44.8.0/24']).catch(() => create('h19', ['10.44.8.0/24']));
}, 60_000);

test('a node says how it is reached, in its own lease, and nothing else', async () => {
  for (const name of ['a', 'b']) await cluster.addNode(name);
  await create('a', ['10.44.0.0/24']);
  await create('b', ['10.44.1.0/24']);
  const a = cluster.clientOf('a');
  const patch = (name: string, body: object) =>
    a.patch(hostLeaseKind, { name }, { type: 'merge', body: body as never });
  await patch('a', { spec: { endpoint: '192.0.2.5', backend: 'vxlan', data: { mac: 'x' }, mtuBytes: 1450 } });
  const applied = [{ backend: 'vxlan', peersMark: '0', sends: true }];
  const status = { applied, peers: { wanted: 1, reachable: 1 } };
  await a.patch(hostLeaseKind, { name: 'a' }, { type: 'merge', body: { status } }, { subresource: 'status' });
  expect((await cluster.lease('a')).status?.applied).toEqual(applied);
  const forbidden: [string, Promise<unknown>][] = [
    ['another’s endpoint', patch('b', { spec: { endpoint: '192.0.2.6' } })],
    [
      'another’s status',
      a.patch(hostLeaseKind, { name: 'b' }, { type: 'merge', body: { status } }, { subresource: 'status' }),
    ],
    ['its own subnets', patch('a', { spec: { subnets: ['10.44.9.0/24'] } })],
    ['its relay', patch('a', { spec: { relayVia: 'b' } })],
    ['labels', patch('a', { metadata: { labels: { x: 'y' } } })],
    [
      'owners',
      patch('a', { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'b', uid: 'u' }] } }),
    ],
    ['removal', a.delete(hostLeaseKind, { name: 'a' })],
    ['a new one', a.create(hostLeaseKind, lease('a', ['10.44.2.0/24']))],
    [
      'settings',
      a.patch(overlayNetworkKind, { name: networkName }, { type: 'merge', body: { spec: { backend: 'x' } } }),
    ],
    ['a proxy that writes', cluster.clientOf('proxy').delete(hostLeaseKind, { name: 'a' })],
  ];
  for (const [what, work] of forbidden)
    expect([what, await refusal(work)]).toEqual([what, expect.stringContaining('forbidden') as never]);
  expect((await a.list(hostLeaseKind)).items).toHaveLength(2);
  expect((await cluster.clientOf('proxy').list(hostLeaseKind)).items).toHaveLength(2);
}, 60_000);

test('the key for pairs is made when it is asked for, and nodes may read that secret alone', async () => {
  const key = { namespace: 'kube-system', name: 'overlay-preshared-key' };
  expect(await refusal(cluster.client.get(secretKind, key))).toContain('not found');
  await cluster.settings({ presharedKeys: true });
  await until(async () => cluster.client.get(secretKind, key).catch(() => undefined));
  await cluster.addNode('a');
  const a = cluster.clientOf('a');
  expect(Buffer.from((await a.get(secretKind, key)).data!['key']!, 'base64')).toHaveLength(32);
  expect(await refusal(a.list(secretKind, { namespace: 'kube-system' }))).toContain('forbidden');
}, 60_000);

test('each host gets a subnet, on its lease and on its Node', async () => {
  await cluster.startControllers();
  for (const name of ['a', 'b']) await cluster.addNode(name);
  await cluster.addNode('c', ['10.44.9.0/24']); // has one already: the Node's holds
  await until(async () => Object.keys(await cluster.subnets()).length === 3);
  const subnets = await cluster.subnets();
  expect(subnets['c']).toEqual(['10.44.9.0/24']);
  expect([subnets['a'], subnets['b']].map(String).sort()).toEqual(['10.44.0.0/24', '10.44.1.0/24']);
  for (const name of ['a', 'b', 'c']) await until(async () => Bun.deepEquals(await podCidrs(name), subnets[name]));
  await until(async () => {
    const { status } = await cluster.client.get(overlayNetworkKind, { name: networkName });
    return (status?.hosts?.total === 3 && status.backend === 'wireguard' && status.freeSubnets === 253) || undefined;
  });
}, 60_000);

test('a host that returns in time keeps its subnet; later it is free for others', async () => {
  await cluster.startControllers();
  await cluster.addNode('a');
  await untilSubnets({ a: ['10.44.0.0/24'] });
  await cluster.client.delete(nodeKind, { name: 'a' });
  await until(async () => (await cluster.lease('a')).metadata.annotations?.['net.pintle.dev/node-gone-since']);
  await cluster.addNode('b');
  await untilSubnets({ a: ['10.44.0.0/24'], b: ['10.44.1.0/24'] });
  await cluster.addNode('a');
  await until(async () => (await podCidrs('a'))?.[0] === '10.44.0.0/24');
  await until(async () => !(await cluster.lease('a')).metadata.annotations?.['net.pintle.dev/node-gone-since']);
  await cluster.client.delete(nodeKind, { name: 'a' });
  await until(async () => (await cluster.lease('a')).metadata.annotations?.['net.pintle.dev/node-gone-since']);
  await cluster.settings({ returnGraceSeconds: 0 }); // holds for those that wait as well
  await untilSubnets({ b: ['10.44.1.0/24'] });
}, 60_000);

test('a range that is used up is told on the Node, with what to do, and helps when it can', async () => {
  await cluster.settings({ ipv4PrefixBits: 17, returnGraceSeconds: 0 });
  await cluster.startControllers();
  for (const name of ['a', 'b', 'c']) await cluster.addNode(name);
  const lacking = await until(async () => {
    const { items } = await cluster.client.list(nodeKind);
    return items.find(({ status }) => status?.conditions?.some(({ reason }) => reason === 'CIDRNotAvailable'));
  });
  const condition = lacking.status!.conditions!.find(({ type }) => type === 'NetworkUnavailable')!;
  expect(condition.status).toBe('True');
  expect(condition.message).toContain('the range 10.44.0.0/16 has no subnet left for this host; remove hosts');
  await until(async () => {
    const { items } = await cluster.client.list(eventKind, { namespace: 'default' });
    return items.find(({ reason, type }) => reason === 'CIDRNotAvailable' && type === 'Warning');
  });
  const other = ['a', 'b', 'c'].find((name) => name !== lacking.metadata.name)!;
  await cluster.client.delete(nodeKind, { name: other });
  await until(async () => (await podCidrs(lacking.metadata.name!))?.length);
}, 60_000);

test('controllers that die after any write leave nothing that their successor does not finish', async () => {
  for (let writes = 1; writes <= 4; writes++) {
    const name = `host-${writes}`;
    let left = writes;
    const real = cluster.clientOf('controllers');
    const dying = new Proxy(real, {
      get(target, verb) {
        const call: unknown = Reflect.get(target, verb, target);
        if (typeof call !== 'function' || !/^(create|update|patch|delete)$/.test(String(verb))) return call;
        return async (...words: unknown[]) => {
          if (left-- <= 0) throw new Error('this process was killed');
          return (await Reflect.apply(call, target, words)) as unknown;
        };
      },
    });
    await cluster.addNode(name);
    await using _killed = await cluster.startControllers(dying);
    await until(async () => left <= 0 || (await podCidrs(name)) !== undefined);
    const second = await cluster.startControllers();
    await until(async () => Bun.deepEquals(await podCidrs(name), (await cluster.subnets())[name]));
    await second[Symbol.asyncDispose]();
  }
  const all = Object.values(await cluster.subnets()).flat();
  expect(new Set(all).size).toBe(4);
}, 60_000);

test('a Node that says another subnet than its lease is right, unless it is somebody else’s', async () => {
  await cluster.addNode('a', ['10.44.9.0/24']);
  await create('a', ['10.44.3.0/24']);
  await cluster.addNode('thief', ['10.44.9.0/24']);
  await cluster.startControllers();
  await until(async () =>
    (await cluster.subnets())['a']?.[0] === '10.44.9.0/24' || (await cluster.subnets())['thief'] ? true : undefined,
  );
  await until(async () => {
    const { items } = await cluster.client.list(nodeKind);
    return items.some((node: KubeObject & { status?: { conditions?: { message?: string }[] } }) =>
      node.status?.conditions?.some(({ message }) => message?.includes('belongs to host')),
    )
      ? true
      : undefined;
  });
  expect(Object.values(await cluster.subnets()).flat()).toEqual(['10.44.9.0/24']);
}, 60_000);
