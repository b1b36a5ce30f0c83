import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  type IPAddress,
  ipAddressKind,
  type KubeObject,
  type Service,
  type ServiceSpec,
  serviceCidrKind,
  serviceKind,
} from '#api';
import { type Clock, Scope, seededRandom, silentLog, systemClock } from '#base';
import type { Client } from '#client';
import { startControllers } from '#sdk';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { coreControllers } from '../core/controllers/index.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import { eventually, until } from './fixtures/eventually.ts';
import { openApiServer } from './fixtures/open-server.ts';
import { rejection } from './fixtures/rejection.ts';

const serviceRange = '10.96.0.0/24,fd00:10:96::/112';
let scope: Scope;
let store: Awaited<ReturnType<typeof createMemoryStore>>;
let client: Client;

async function open(range = serviceRange, seed = 1): Promise<Client> {
  const server = scope.use(await openApiServer({ store, serviceRange: range, random: seededRandom(seed) }));
  return createClient({ fetch: (request) => server.fetch(request), baseUrl: 'http://localhost', token: 'x' });
}
const serviceOf = (name: string, spec: ServiceSpec): Service & KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'default', name },
  spec: { ports: [{ port: 80 }], ...spec },
});
const create = async (name: string, spec: ServiceSpec = {}, by = client) =>
  (await by.create(serviceKind, serviceOf(name, spec))).spec!;
const change = (name: string, spec: object) =>
  client.patch(serviceKind, { namespace: 'default', name }, { type: 'merge', body: { spec } });
const addresses = async (by = client) => (await by.list(ipAddressKind)).items as (IPAddress & KubeObject)[];
/** The grace of ten seconds is over after a fifth of one. */
function hasteningClock(): Clock {
  let aheadMs = 0;
  return {
    now: () => systemClock.now() + aheadMs,
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    soon: () => systemClock.soon(),
    async sleep(ms, signal) {
      const isGrace = ms > 5_000 && ms <= 10_000;
      await systemClock.sleep(isGrace ? 200 : ms, signal);
      if (isGrace) aheadMs += ms;
    },
  };
}
const ownersOf = async () =>
  Object.fromEntries((await addresses()).map(({ metadata, spec }) => [metadata.name, spec.parentRef?.name]));

beforeEach(async () => {
  scope = new Scope();
  store = scope.use(await createMemoryStore());
  client = await open();
});
afterEach(() => scope[Symbol.asyncDispose]());

describe('addresses of services', () => {
  test('one of each family, in the order that is asked for, each with its IPAddress', async () => {
    const spec = await create('both', { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6', 'IPv4'] });
    expect(spec.clusterIPs).toEqual([expect.stringMatching(/^fd00:10:96::/), expect.stringMatching(/^10\.96\.0\./)]);
    expect(spec.clusterIP).toBe(spec.clusterIPs![0]!);
    expect(await ownersOf()).toEqual({
      '10.96.0.1': 'kubernetes',
      [spec.clusterIPs![0]!]: 'both',
      [spec.clusterIPs![1]!]: 'both',
    });
  });
  test('a second one comes and goes with the policy', async () => {
    const { clusterIP } = await create('s');
    const two = await change('s', { ipFamilyPolicy: 'PreferDualStack' });
    expect(two.spec?.clusterIPs).toEqual([clusterIP!, expect.stringMatching(/^fd00:/)]);
    const [, second] = two.spec!.clusterIPs!;
    expect((await ownersOf())[second!]).toBe('s');
    const one = await change('s', { ipFamilyPolicy: 'SingleStack' });
    expect(one.spec).toMatchObject({ clusterIPs: [clusterIP!], ipFamilies: ['IPv4'] });
    await eventually(ownersOf, (owners) => !(second! in owners));
  });
  test('what is given back can be had again at once', async () => {
    for (let round = 0; round < 5; round++) {
      await create('s', { clusterIP: '10.96.0.77' });
      await client.delete(serviceKind, { namespace: 'default', name: 's' });
    }
    const { clusterIP } = await create('s', { clusterIP: '10.96.0.77' });
    await change('s', { type: 'ExternalName', externalName: 'a.example' });
    await create('t', { clusterIP: clusterIP! });
    await eventually(ownersOf, (owners) => owners['10.96.0.77'] === 't');
  });
  test('a write that is refused leaves nothing behind', async () => {
    const before = await ownersOf();
    const bad: ServiceSpec = { ipFamilyPolicy: 'RequireDualStack', sessionAffinity: 'What' };
    expect(String(await rejection(create('bad', bad)))).toContain('Unsupported value: "What"');
    await create('there');
    await client.delete(serviceKind, { namespace: 'default', name: 'there' });
    await client.create(serviceKind, serviceOf('there', {}), { dryRun: true });
    await eventually(ownersOf, (owners) => Bun.deepEquals(owners, before));
  });
  test('a generated name stands in the IPAddress', async () => {
    const object = serviceOf('', {});
    object.metadata = { namespace: 'default', generateName: 'gen-' };
    const { metadata, spec } = await client.create(serviceKind, object);
    expect((await ownersOf())[spec!.clusterIP!]).toBe(metadata.name!);
  });
  test('what people wrote as an IPAddress is not given out', async () => {
    await client.create(ipAddressKind, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IPAddress',
      metadata: { name: '10.96.0.50' },
      spec: { parentRef: { resource: 'gateways', name: 'g' } },
    } as IPAddress & KubeObject);
    expect(String(await rejection(create('s', { clusterIP: '10.96.0.50' })))).toContain(
      'failed to allocate IP 10.96.0.50: provided IP is already allocated',
    );
  });
  test('the lower part of a range is given out last', async () => {
    const numbers = await Promise.all(
      Array.from({ length: 60 }, async (_none, index) => Number((await create(`s${index}`)).clusterIP!.split('.')[3])),
    );
    expect(Math.min(...numbers)).toBeGreaterThan(16);
    expect(new Set(numbers).size).toBe(60);
  });
});

describe('several servers, and those of former versions', () => {
  test('two servers on one store never give the same address', async () => {
    const other = await open(serviceRange, 1); // the same chance: both choose alike
    const made = await Promise.all(
      Array.from({ length: 40 }, (_none, index) => create(`s${index}`, {}, index % 2 ? client : other)),
    );
    expect(new Set(made.map(({ clusterIP }) => clusterIP)).size).toBe(40);
    const refused = await Promise.allSettled([
      create('a', { clusterIP: '10.96.0.9' }),
      create('b', { clusterIP: '10.96.0.9' }, other),
    ]);
    expect(refused.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
  test('what a server that died left behind is had by the service of that name', async () => {
    const left = { resource: 'services', namespace: 'default', name: 's' };
    await client.create(ipAddressKind, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IPAddress',
      metadata: { name: '10.96.0.60' },
      spec: { parentRef: left },
    } as IPAddress & KubeObject);
    expect(String(await rejection(create('t', { clusterIP: '10.96.0.60' })))).toContain('already allocated');
    expect((await create('s', { clusterIP: '10.96.0.60' })).clusterIP).toBe('10.96.0.60');
  });
  test('the repair makes missing IPAddresses, and removes those of nobody', async () => {
    const { clusterIP } = await create('s');
    await client.delete(ipAddressKind, { name: clusterIP! });
    await eventually(ownersOf, (owners) => owners[clusterIP!] === 's');
    const events = () => client.request<{ items: { reason: string }[] }>('GET', '/api/v1/namespaces/default/events');
    await until(async () => (await events()).items.some(({ reason }) => reason === 'ClusterIPNotAllocated'));
  });
  test('a home of one family gets a second one: services stay, new ones may have both', async () => {
    await scope[Symbol.asyncDispose]();
    scope = new Scope();
    store = scope.use(await createMemoryStore());
    const old = await open('10.96.0.0/24');
    const { clusterIP } = await create('s', { ipFamilyPolicy: 'PreferDualStack' }, old);
    client = await open();
    expect((await client.get(serviceCidrKind, { name: 'kubernetes' })).spec?.cidrs).toEqual(serviceRange.split(','));
    const same = await change('s', { selector: { a: 'b' } });
    expect(same.spec?.clusterIPs).toEqual([clusterIP!]); // nobody gains one unasked
    expect((await create('t', { ipFamilyPolicy: 'RequireDualStack' })).clusterIPs).toHaveLength(2);
  });
  test('a cluster of IPv6 alone', async () => {
    await scope[Symbol.asyncDispose]();
    scope = new Scope();
    store = scope.use(await createMemoryStore());
    client = await open('fd00:10:96::/112');
    expect((await client.get(serviceKind, { namespace: 'default', name: 'kubernetes' })).spec?.clusterIP).toBe(
      'fd00:10:96::1',
    );
    expect(String(await rejection(create('s', { ipFamilies: ['IPv4'] })))).toContain('not configured on this cluster');
  });
});

describe('ServiceCIDR', () => {
  const range = (name: string, ...cidrs: string[]) =>
    client.create(serviceCidrKind, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'ServiceCIDR',
      metadata: { name },
      spec: { cidrs },
    });
  const readyOf = async (name: string) =>
    (await client.get(serviceCidrKind, { name })).status?.conditions?.find(({ type }) => type === 'Ready');
  beforeEach(async () => {
    const clock = hasteningClock();
    const common = { clock, random: seededRandom(2), log: silentLog, client };
    const informers = createInformers({ ...common, signal: scope.signal });
    scope.use(await startControllers(coreControllers({ rootCa: 'PEM' }), { ...common, informers }));
  });
  test('another range takes services, and is held until its last address is gone', async () => {
    expect(String(await rejection(create('s', { clusterIP: '10.97.0.5' })))).toContain('does not match the current');
    await range('more', '10.97.0.0/24');
    await until(async () => (await readyOf('more'))?.status === 'True');
    await create('s', { clusterIP: '10.97.0.5' });
    await client.delete(serviceCidrKind, { name: 'more' });
    await until(async () => (await readyOf('more'))?.reason === 'Terminating');
    expect(String(await rejection(create('t', { clusterIP: '10.97.0.6' })))).toContain('does not match the current');
    await client.delete(serviceKind, { namespace: 'default', name: 's' });
    await until(async () => (await client.list(serviceCidrKind)).items.length === 1);
  });
  test('one within another goes although addresses of it are in use', async () => {
    await range('within', '10.96.0.0/26');
    await until(async () => (await readyOf('within'))?.status === 'True');
    await create('s', { clusterIP: '10.96.0.40' });
    await client.delete(serviceCidrKind, { name: 'within' });
    await until(async () => (await client.list(serviceCidrKind)).items.length === 1);
  });
});
