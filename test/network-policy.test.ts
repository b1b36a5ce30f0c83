import { expect, test } from 'bun:test';
import {
  endpointSliceKind,
  type KubeObject,
  namespaceKind,
  networkPolicyKind,
  nodeKind,
  type Pod,
  podKind,
  serviceAccountKind,
  serviceKind,
} from '#api';
import { Scope, silentLog, systemClock, systemRandom } from '#base';
import type { Client } from '#client';
import type { FilterSource, PacketFilter } from '#net/packet-filter';
import type { PodNetwork } from '#net/pod';
import type { ApiPartContext, NodePartContext, PodGate } from '#sdk';
import { createAuthorizer } from '../core/apiserver/auth/authorizer.ts';
import { createNodeUses } from '../core/apiserver/auth/node-authorizer.ts';
import type { AnyStrategy, ApiServerOptions } from '../core/apiserver/contract.ts';
import { patches } from '../core/apiserver/patch/patches.ts';
import { createSchemaEngine } from '../core/apiserver/schema/schema.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { strategies } from '../core/apiserver/strategies/index.ts';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { gatedNetwork, PodGates } from '../core/cmd/pod-gates.ts';
import { partObjects } from '../core/host/part-objects.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import { WalkedFilter } from '../net/filter/walk.ts';
import api from '../plugins/network-policy/api.ts';
import node from '../plugins/network-policy/node.ts';
import { until } from './fixtures/eventually.ts';
import { rejection } from './fixtures/rejection.ts';

const seams = { clock: systemClock, random: systemRandom, log: silentLog };
const users: Record<string, { name: string; groups: string[] }> = {
  admin: { name: 'admin', groups: ['system:masters', 'system:authenticated'] },
  proxy: { name: 'system:kube-proxy', groups: ['system:authenticated'] },
};

/** The packet filter of a host without a kernel. `broken`: what it refuses everything with. */
class FakeFilter implements PacketFilter {
  table = new WalkedFilter(
    { localRanges: () => ['10.1.0.0/16'] },
    { contains: (cidr, ip) => cidr === '10.1.0.0/16' && ip.startsWith('10.1.') },
  );
  broken: string | undefined;
  #isLoaded = false;
  async apply(source: FilterSource): Promise<void> {
    if (this.broken) throw new Error(this.broken);
    this.table.change(this.#isLoaded ? source.changed() : source.whole());
    this.#isLoaded = true;
  }
  check = async () => this.#isLoaded;
  weakness = async () => undefined;
  purge = async () => {};
  async [Symbol.asyncDispose]() {}
  reaches = (saddr: string, daddr: string, dport = 80) =>
    this.table.passes({ saddr, daddr, protocol: 'tcp', dport, toHost: daddr === '10.1.0.1' });
}

/** An API server with the rules that ship, the plugin's part in it, and its node part on n1 as the service proxy's user. */
async function start(prepare?: (client: Client) => Promise<void>) {
  const scope = new Scope();
  const server = await createApiServer({
    store: await createMemoryStore(),
    ...seams,
    serviceRange: '10.96.0.0/16',
    schema: createSchemaEngine(),
    patches,
    strategies: strategies as readonly AnyStrategy[],
    advertise: { ip: '192.0.2.1', port: 6443 },
    authenticator: { authenticate: async ({ headers }) => users[(headers.get('authorization') ?? '').slice(7)] },
    authorizer: createAuthorizer({ nodeUses: createNodeUses(() => []) }),
  } as ApiServerOptions);
  scope.use(server);
  const clientOf = (token: string) =>
    createClient({ fetch: (request) => server.fetch(request), baseUrl: 'http://localhost', token });
  const client = clientOf('admin');
  for (
    let times = 0;
    times < 2;
    times++ // as a second API server does
  )
    await api.start({
      ...seams,
      reader: server.reader,
      objects: partObjects(client),
      scope,
    } as unknown as ApiPartContext);
  await client.create(nodeKind, { metadata: { name: 'n1' } } as never);
  for (const name of ['shop', 'kube-system', 'default'])
    await client.create(namespaceKind, { metadata: { name, labels: { team: name } } } as never).catch(() => {});
  await client.create(serviceAccountKind, { metadata: { name: 'default', namespace: 'shop' } } as never);
  await prepare?.(client);
  const filter = new FakeFilter();
  const gates = new PodGates(['network-policy']);
  const inner = scope.use(new Scope());
  const context = {
    ...seams,
    scope: inner,
    informers: createInformers({ client: clientOf('proxy'), ...seams, signal: inner.signal }),
    nodeName: 'n1',
    network: { ip: '10.1.0.1', podRanges: ['10.1.0.0/16'], ownAddresses: () => [], filter },
    pods: { gate: gates.doorOf('network-policy') },
  };
  node.start(context as unknown as NodePartContext);
  const pass = async (pod: Pod, ip: string) => {
    const { uid = '', namespace = '', name = '' } = pod.metadata;
    await gates.pass({ uid, namespace, name, ips: [ip] });
  };
  return { client, filter, pass, [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose]() };
}
const newPod = (client: Client, name: string, labels: Record<string, string> = {}) =>
  client.create(podKind, {
    metadata: { name, namespace: 'shop', labels },
    spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i', ports: [{ name: 'http', containerPort: 80 }] }] },
  } as Pod & KubeObject);
const setIp = (client: Client, { metadata }: Pod & KubeObject, ip: string) =>
  client.patch(
    podKind,
    { namespace: 'shop', name: metadata.name! },
    { type: 'merge', body: { status: { podIP: ip, podIPs: [{ ip }] } } },
    { subresource: 'status' },
  );
const policy = (client: Client, name: string, spec: object) =>
  client.create(networkPolicyKind, { metadata: { name, namespace: 'shop' }, spec } as never);
const web = { podSelector: { matchLabels: { app: 'web' } } };

test('a pod starts when its rules are in force, before the API shows its address', async () => {
  await using cluster = await start((client) => policy(client, 'deny', { podSelector: {} }).then(() => {}));
  const { client, filter, pass } = cluster;
  const pod = await newPod(client, 'web', { app: 'web' });
  expect(filter.reaches('10.1.0.5', '192.0.2.9')).toBe(false); // nobody decided about it
  await pass(pod, '10.1.0.5');
  expect(filter.reaches('192.0.2.9', '10.1.0.5')).toBe(false);
  expect(filter.reaches('10.1.0.5', '192.0.2.9')).toBe(true);
  await setIp(client, pod, '10.1.0.5');
  const other = await newPod(client, 'client', { app: 'client' });
  await pass(other, '10.1.0.6');
  expect(filter.reaches('10.1.0.6', '10.1.0.5')).toBe(false);
  await policy(client, 'allow', {
    ...web,
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }], ports: [{ port: 'http' }] }],
  });
  await until(() => filter.reaches('10.1.0.6', '10.1.0.5'));
  expect(filter.reaches('10.1.0.6', '10.1.0.5', 81)).toBe(false);
  // The next pod of the name, at the address of the former one, which somebody else has by then.
  await client.delete(podKind, { namespace: 'shop', name: 'web' }, { gracePeriodSeconds: 0 } as never);
  const next = await newPod(client, 'web', { app: 'other' });
  await pass(next, '10.1.0.7');
  const heir = await newPod(client, 'heir', { app: 'web' });
  await pass(heir, '10.1.0.5');
  expect(filter.reaches('10.1.0.6', '10.1.0.5')).toBe(true);
  expect(filter.reaches('10.1.0.6', '10.1.0.7')).toBe(false);
  await client.delete(networkPolicyKind, { namespace: 'shop', name: 'deny' });
  await until(() => filter.reaches('192.0.2.9', '10.1.0.7'));
});

test('rules that cannot be written keep pods from starting, with the reason, until they can', async () => {
  await using cluster = await start();
  const { client, filter, pass } = cluster;
  await pass(await newPod(client, 'first'), '10.1.0.5');
  filter.broken = 'nft: no such file';
  const pod = await newPod(client, 'second');
  expect((await rejection(pass(pod, '10.1.0.6'))).message).toBe('nft: no such file');
  expect(filter.reaches('10.1.0.6', '192.0.2.9')).toBe(false);
  filter.broken = undefined;
  await pass(pod, '10.1.0.6');
  expect(filter.reaches('10.1.0.6', '192.0.2.9')).toBe(true);
});

test('the cluster’s DNS is let through by the labels and the port of its service', async () => {
  await using cluster = await start();
  const { client, filter, pass } = cluster;
  const dns = { namespace: 'kube-system', name: 'kube-dns' };
  await client.create(serviceKind, {
    metadata: { ...dns, labels: { 'k8s-app': 'kube-dns' } },
    spec: { clusterIP: '10.96.0.10', ports: [{ name: 'dns-tcp', port: 53, protocol: 'TCP' }] },
  } as never);
  await client.create(endpointSliceKind, {
    metadata: { ...dns, labels: { 'kubernetes.io/service-name': 'kube-dns' } },
    addressType: 'IPv4',
    ports: [{ name: 'dns-tcp', port: 10_053, protocol: 'TCP' }],
    endpoints: [{ addresses: ['10.1.0.1'] }],
  } as never);
  await pass(await newPod(client, 'web', { app: 'web' }), '10.1.0.5');
  const to = [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }];
  await policy(client, 'dns', { ...web, policyTypes: ['Egress'], egress: [{ to, ports: [{ port: 53 }] }] });
  await until(() => !filter.reaches('10.1.0.5', '192.0.2.9'));
  await until(() => filter.reaches('10.1.0.5', '10.1.0.1', 10_053));
  expect(filter.reaches('10.1.0.5', '10.1.0.1', 6_443)).toBe(false);
});

const pod = { uid: 'u', namespace: 'shop', name: 'web', ips: ['10.1.0.5'] };
test('pods wait for the plugins that gate them, and say for whom', async () => {
  const gates = new PodGates(['network-policy']);
  const waiting = new AbortController();
  const refused = rejection(gates.pass(pod, waiting.signal));
  waiting.abort();
  expect((await refused).message).toContain('waits for the plugin network-policy, which has not started');
  const asked: unknown[] = [];
  const gate: PodGate = async (one) => void asked.push(one);
  const open = gates.doorOf('network-policy')(gate);
  await gates.pass(pod);
  expect(asked).toEqual([pod]);
  gates.doorOf('other')(async () => {
    throw new Error('not this one');
  });
  const network = gatedNetwork({ attach: async () => ({ ips: pod.ips }) } as unknown as PodNetwork, gates);
  expect((await rejection(network.attach({ ...pod, netnsPath: '/x' }))).message).toBe(
    'the network of the pod is not ready: not this one',
  );
  open[Symbol.dispose]();
});
