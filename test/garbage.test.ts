import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { configMapKind, type KubeObject, nodeKind, podKind, replicationControllerKind } from '#api';
import { Scope, seededRandom, silentLog, systemClock } from '#base';
import type { Client } from '#client';
import type { AnyStrategy, ApiServer, ApiServerOptions } from '../core/apiserver/contract.ts';
import { patches } from '../core/apiserver/patch/patches.ts';
import { createSchemaEngine } from '../core/apiserver/schema/schema.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { strategies } from '../core/apiserver/strategies/index.ts';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { coreControllers } from '../core/controllers/index.ts';
import { startControllers } from '../core/sdk/controller.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import { eventually } from './fixtures/eventually.ts';

const common = { clock: systemClock, random: seededRandom(7), log: silentLog };
const namespace = 'default';
let api: ApiServer;
let client: Client;
let scope: Scope;

beforeEach(async () => {
  scope = new Scope();
  api = await createApiServer({
    store: await createMemoryStore(),
    ...common,
    serviceRange: '10.96.0.0/24',
    schema: createSchemaEngine(),
    patches,
    strategies: strategies as readonly AnyStrategy[],
    advertise: { ip: '192.0.2.1', port: 6443 },
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  } as ApiServerOptions);
  scope.use(api);
  client = createClient({ fetch: (request) => api.fetch(request), baseUrl: 'http://localhost', token: '' });
  const abort = new AbortController();
  scope.defer(() => abort.abort());
  const informers = createInformers({ client, signal: abort.signal, ...common });
  const specs = coreControllers({ rootCa: 'PEM' }).filter(({ name }) =>
    ['garbage-collector-controller', 'replication-controller', 'serviceaccount-controller'].includes(name),
  );
  scope.use(await startControllers(specs, { client, informers, ...common }));
});
afterEach(() => scope[Symbol.asyncDispose]());

const pods = async () => (await client.list(podKind, { namespace })).items;
const controllers = async () => (await client.list(replicationControllerKind, { namespace })).items;
const configs = async () =>
  (await client.list(configMapKind, { namespace })).items
    .map(({ metadata }) => metadata.name)
    .filter((name) => name !== 'kube-root-ca.crt');

async function startThree(finalizers?: string[]) {
  await eventually(
    () => client.request<{ items: unknown[] }>('GET', '/api/v1/namespaces/default/serviceaccounts'),
    ({ items }) => items.length > 0,
  );
  await client.create(replicationControllerKind, {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name: 'web', namespace },
    spec: {
      replicas: 3,
      selector: { app: 'web' },
      template: {
        metadata: { labels: { app: 'web' }, finalizers },
        spec: { containers: [{ name: 'c', image: 'demo:1' }] },
      },
    },
  });
  await eventually(pods, (list) => list.length === 3);
}
const remove = (propagationPolicy: 'Background' | 'Foreground' | 'Orphan') =>
  client.delete(replicationControllerKind, { namespace, name: 'web' }, { propagationPolicy });

describe('a replication controller and its pods', () => {
  test('background: the owner goes at once, the pods after it', async () => {
    await startThree();
    await remove('Background');
    expect(await controllers()).toEqual([]);
    await eventually(pods, (list) => list.length === 0);
  });
  test('foreground: the owner stays until the last pod is gone', async () => {
    await startThree(['example.com/hold']);
    await remove('Foreground');
    const going = await eventually(pods, (list) => list.every(({ metadata }) => metadata.deletionTimestamp));
    expect(going).toHaveLength(3);
    expect((await controllers())[0]?.metadata.finalizers).toEqual(['foregroundDeletion']);
    for (const [index, { metadata }] of going.entries()) {
      expect(await controllers()).toHaveLength(1);
      const body = { metadata: { finalizers: null } };
      await client.patch(podKind, { namespace, name: metadata.name! }, { type: 'merge', body });
      expect(await pods()).toHaveLength(2 - index);
    }
    await eventually(controllers, (list) => list.length === 0);
  });
  test('orphan: the pods live on without an owner', async () => {
    await startThree();
    await remove('Orphan');
    await eventually(controllers, (list) => list.length === 0);
    const left = await pods();
    expect(left.map(({ metadata }) => metadata.ownerReferences ?? [])).toEqual([[], [], []]);
    expect(left.every(({ metadata }) => !metadata.deletionTimestamp)).toBe(true);
  });
});

describe('references', () => {
  const config = (name: string, owners: readonly KubeObject[] = []): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name,
      namespace,
      ownerReferences: owners.map((owner) => ({
        apiVersion: owner.apiVersion!,
        kind: owner.kind!,
        name: owner.metadata.name!,
        uid: owner.metadata.uid!,
        blockOwnerDeletion: true,
      })),
    },
  });
  const create = (name: string, owners?: readonly KubeObject[]) => client.create(configMapKind, config(name, owners));
  const end = (name: string, propagationPolicy: 'Background' | 'Foreground' = 'Background') =>
    client.delete(configMapKind, { namespace, name }, { propagationPolicy });

  test('an object goes with its last owner, and a chain to its end', async () => {
    const [a, b] = [await create('a'), await create('b')];
    const shared = await create('shared', [a, b]);
    await create('grandchild', [shared]);
    await end('a');
    const released = await eventually(
      () => client.get(configMapKind, { namespace, name: 'shared' }),
      ({ metadata }) => metadata.ownerReferences?.length === 1,
    );
    expect(released.metadata.ownerReferences?.[0]?.uid).toBe(b.metadata.uid!);
    await end('b');
    await eventually(configs, (names) => names.length === 0);
  });
  test('an owner that never was, or is another life under the name, is no owner', async () => {
    const a = await create('a');
    await create('stale', [{ ...a, metadata: { ...a.metadata, uid: '00000000-0000-4000-8000-000000000000' } }]);
    await create('fine', [a]);
    await eventually(configs, (names) => names.length === 2);
    expect(await configs()).toEqual(['a', 'fine']);
  });
  test('an owner of a kind that is not served keeps its dependents', async () => {
    const ghost = { apiVersion: 'example.com/v1', kind: 'Ghost', metadata: { name: 'g', uid: 'g-1' } };
    await create('kept', [ghost]);
    const a = await create('a');
    await create('marker', [a]);
    await end('a');
    await eventually(configs, (names) => !names.includes('marker'));
    expect(await configs()).toEqual(['kept']);
  });
  test('foreground runs down a chain and ends a circle', async () => {
    const a = await create('a');
    const b = await create('b', [a]);
    const c = await create('c', [b]);
    await client.update(configMapKind, {
      ...a,
      metadata: { ...a.metadata, ownerReferences: config('x', [c]).metadata.ownerReferences },
    });
    await end('a', 'Foreground');
    await eventually(configs, (names) => names.length === 0);
  });
  test('an owner of the whole cluster owns objects of namespaces', async () => {
    const node = await client.create(nodeKind, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
    await create('of-node', [node]);
    await client.delete(nodeKind, { name: 'n1' }, { propagationPolicy: 'Background' });
    await eventually(configs, (names) => names.length === 0);
  });
});
