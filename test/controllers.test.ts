import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  configMapKind,
  endpointSliceKind,
  endpointsKind,
  eventKind,
  isReason,
  milliOf,
  namespaceKind,
  nodeKind,
  type Pod,
  podDisruptionBudgetKind,
  podKind,
  priorityClassKind,
  replicationControllerKind,
  type StatusError,
  serviceAccountKind,
  serviceKind,
} from '#api';
import { Scope, seededRandom, silentLog, systemClock, systemExec } from '#base';
import type { Client } from '#client';
import type { ApiPartContext } from '#sdk';
import { createAuthorizer } from '../core/apiserver/auth/authorizer.ts';
import { createNodeUses } from '../core/apiserver/auth/node-authorizer.ts';
import type { AnyStrategy, ApiServer, ApiServerOptions } from '../core/apiserver/contract.ts';
import { patches } from '../core/apiserver/patch/patches.ts';
import { createSchemaEngine } from '../core/apiserver/schema/schema.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { strategies } from '../core/apiserver/strategies/index.ts';
import { strategyKit } from '../core/apiserver/strategies/kit.ts';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { coreControllers } from '../core/controllers/index.ts';
import { startKubelet } from '../core/kubelet/kubelet.ts';
import { createFakeRuntime } from '../core/kubelet/runtimes/fake.ts';
import { startScheduler } from '../core/scheduler/scheduler.ts';
import { startControllers } from '../core/sdk/controller.ts';
import { createEventRecorder } from '../core/sdk/recorder.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import apps from '../plugins/apps/api.ts';
import { type Deployment, deploymentKind, replicaSetKind } from '../plugins/apps/kinds.ts';
import appsControllers from '../plugins/apps/plugin.ts';
import { eventually } from './fixtures/eventually.ts';

/** The whole control plane in one process, with one node whose containers are pretended. */
const common = { clock: systemClock, random: seededRandom(7), log: silentLog };
const namespace = 'shop';
const users: Record<string, { name: string; groups: string[] }> = {
  admin: { name: 'admin', groups: ['system:masters'] },
  controllers: { name: 'system:kube-controller-manager', groups: ['system:authenticated'] },
  scheduler: { name: 'system:kube-scheduler', groups: ['system:authenticated'] },
  node: { name: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] },
};
let client: Client;
let scope: Scope;

beforeEach(async () => {
  scope = new Scope();
  const folder = await mkdtemp(join(tmpdir(), 'controllers-'));
  scope.defer(() => rm(folder, { recursive: true, force: true }));
  const schema = createSchemaEngine();
  const api: ApiServer = scope.use(
    await createApiServer({
      store: await createMemoryStore(),
      ...common,
      serviceRange: '10.96.0.0/24',
      schema,
      patches,
      strategies: strategies as readonly AnyStrategy[],
      advertise: { ip: '192.0.2.1', port: 6443 },
      // Everybody is whom the token says, with the real rules: a missing permission fails here.
      authenticator: { authenticate: async ({ headers }) => users[headers.get('authorization')!.slice(7)] },
      authorizer: createAuthorizer({
        nodeUses: createNodeUses((name) => api.reader.indexed(podKind, name)),
      }),
    } as ApiServerOptions),
  );
  const connect = (token: keyof typeof users) =>
    createClient({ fetch: (request) => api.fetch(request), baseUrl: 'http://localhost', token });
  client = connect('admin');
  const abort = new AbortController();
  scope.defer(() => abort.abort());
  /** What a component needs to speak as itself. */
  const as = (user: keyof typeof users, component: string) => {
    const own = { client: connect(user), ...common };
    const informers = createInformers({ ...own, signal: abort.signal });
    return { ...own, informers, events: scope.use(createEventRecorder({ ...own, component })) };
  };
  const { events: _, ...controllers } = as('controllers', 'controllers');
  const door = {
    schema,
    kinds: api.kinds,
    reader: api.reader,
    kit: strategyKit,
    admit: () => {},
    serve: () => {},
    scope,
  };
  const rest = { signal: scope.signal, checkMetadata: () => [], objects: {} as ApiPartContext['objects'] };
  await apps.start({ ...common, ...door, ...rest, client });
  scope.use(
    await startControllers([...coreControllers({ rootCa: 'PEM' }), ...appsControllers.controllers], controllers),
  );
  scope.use(await startScheduler(as('scheduler', 'default-scheduler')));
  const runtime = scope.use(createFakeRuntime({ clock: systemClock, random: seededRandom(1), ipPrefix: '10.88.0' }));
  const kubelet = scope.use(
    await startKubelet({
      ...as('node', 'kubelet'),
      nodeName: 'n1',
      nodeIp: '192.0.2.7',
      runtime,
      stateFolder: folder,
      exec: systemExec,
      clusterDns: ['10.96.0.10'],
    }),
  );
  await kubelet.registered;
  await client.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await eventually(
    async () => (await client.list(serviceAccountKind, { namespace })).items.map(({ metadata }) => metadata.name),
    (names) => names.includes('default'),
  );
});
afterEach(() => scope[Symbol.asyncDispose]());

const key = { namespace, name: 'web' };
const pods = async () => (await client.list(podKind, { namespace })).items;
const isReady = (pod: Pod) => pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
const controller = () => client.get(replicationControllerKind, key);

const createController = (replicas: number) =>
  client.create(replicationControllerKind, {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: key,
    spec: {
      replicas,
      selector: { app: 'web' },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: {
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'c', image: 'demo:1', ports: [{ name: 'http', containerPort: 8080 }] }],
        },
      },
    },
  });
const createService = () =>
  client.create(serviceKind, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: key,
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] },
  });
async function scale(replicas: number) {
  await client.patch(replicationControllerKind, key, { type: 'merge', body: { spec: { replicas } } });
  const list = await eventually(pods, (all) => all.length === replicas && all.every(isReady));
  const { status } = await eventually(
    controller,
    (rc) => rc.status?.replicas === replicas && (rc.status.availableReplicas ?? 0) === replicas,
  );
  expect(status?.readyReplicas ?? 0).toBe(replicas);
  return list;
}
const endpoints = async () => {
  const { subsets } = await client.get(endpointsKind, key);
  return (subsets ?? []).flatMap(({ addresses }) => addresses ?? []).map(({ ip }) => ip);
};
const slices = async () => (await client.list(endpointSliceKind, { namespace })).items;
const sliced = async () =>
  (await slices())
    .flatMap((slice) => slice.endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready)
    .flatMap(({ addresses }) => addresses);

describe('the control plane', () => {
  test('a replication controller goes 0, 3, 5, 0 and a service follows it', async () => {
    await createController(0);
    await createService();
    expect(await scale(0)).toEqual([]);
    for (const replicas of [3, 5, 0]) {
      const ips = (await scale(replicas)).map(({ status }) => status?.podIP ?? '').sort();
      expect(new Set(ips).size).toBe(replicas);
      const same = (found: readonly string[]) => JSON.stringify([...found].sort()) === JSON.stringify(ips);
      await eventually(endpoints, same);
      await eventually(sliced, same);
    }
    const [slice] = await slices();
    expect(slice?.metadata.ownerReferences?.[0]).toMatchObject({ kind: 'Service', name: 'web' });
    await client.delete(serviceKind, key);
    await eventually(slices, (list) => list.length === 0);
    await eventually(
      async () => (await client.list(endpointsKind, { namespace })).items,
      (list) => list.length === 0,
    );
  });

  test('endpoints that somebody wrote are mirrored, and nobody else deletes them', async () => {
    const name = 'outside';
    const own = { namespace, name };
    const ofService = async () =>
      (await slices()).filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name);
    const addresses = async () =>
      (await ofService()).flatMap(({ endpoints = [] }) => (endpoints ?? []).flatMap((one) => one.addresses));
    const written = {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: own,
      subsets: [{ addresses: [{ ip: '10.1.2.3' }], ports: [{ port: 80 }] }],
    };
    const made = await client.create(endpointsKind, written);
    await client.create(serviceKind, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: own,
      spec: { ports: [{ port: 80 }] },
    });
    await eventually(addresses, (found) => found.join() === '10.1.2.3');
    const [slice] = await ofService();
    expect(slice?.metadata.ownerReferences?.[0]).toMatchObject({ kind: 'Endpoints', name, uid: made.metadata.uid });
    const current = await client.get(endpointsKind, own);
    await client.update(endpointsKind, {
      ...current,
      subsets: [{ addresses: [{ ip: '10.2.3.4' }], ports: [{ port: 80 }] }],
    });
    await eventually(addresses, (found) => found.join() === '10.2.3.4');
    const labels = { 'endpointslice.kubernetes.io/skip-mirror': 'true' };
    await client.patch(endpointsKind, own, { type: 'merge', body: { metadata: { labels } } });
    await eventually(ofService, (list) => list.length === 0);
    expect((await client.get(endpointsKind, own)).subsets?.length).toBe(1);
    await client.delete(serviceKind, own);
    await eventually(
      async () => (await client.list(endpointsKind, { namespace })).items,
      (list) => list.length === 0,
    );
  });

  test('a namespace is emptied and let go', async () => {
    await createController(2);
    await createService();
    await eventually(pods, (list) => list.length === 2 && list.every(isReady));
    await client.create(configMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name: 'held', finalizers: ['example.com/hold'] },
    });
    await client.delete(namespaceKind, { name: namespace });
    const going = await eventually(
      () => client.get(namespaceKind, { name: namespace }),
      ({ status }) =>
        !!status?.conditions?.some(({ type, status }) => type === 'NamespaceFinalizersRemaining' && status === 'True'),
    );
    expect(going.status?.phase).toBe('Terminating');
    const remaining = await eventually(
      async () =>
        (await client.get(namespaceKind, { name: namespace })).status?.conditions?.find(
          ({ type }) => type === 'NamespaceContentRemaining',
        ),
      (condition) => condition?.message === 'Some resources are remaining: configmaps. has 1 resource instances',
    );
    expect(remaining).toMatchObject({ status: 'True', reason: 'SomeResourcesRemain' });
    await eventually(pods, (list) => list.length === 0);
    await client.patch(
      configMapKind,
      { namespace, name: 'held' },
      { type: 'merge', body: { metadata: { finalizers: null } } },
    );
    await eventually(
      () => client.get(namespaceKind, { name: namespace }).catch((error: unknown) => error),
      (answer) => isReason(answer, 'NotFound'),
    );
    expect(await slices()).toEqual([]);
    expect((await client.list(serviceAccountKind, { namespace })).items).toEqual([]);
  });

  test('a deleted replication controller takes its pods along, and its node stays', async () => {
    await createController(2);
    await eventually(pods, (list) => list.length === 2 && list.every(isReady));
    await client.delete(replicationControllerKind, key, { propagationPolicy: 'Foreground' });
    await eventually(
      async () => (await client.list(replicationControllerKind, { namespace })).items,
      (list) => list.length === 0,
    );
    expect(await pods()).toEqual([]);
    expect((await client.list(nodeKind)).items).toHaveLength(1);
  });

  test('a more important pod takes the place of another, and gated ones wait', async () => {
    const classOf = (name: string, value: number) =>
      client.create(priorityClassKind, {
        apiVersion: 'scheduling.k8s.io/v1',
        kind: 'PriorityClass',
        metadata: { name },
        value,
      });
    await Promise.all([classOf('low', 10), classOf('high', 1_000)]);
    const node = await client.get(nodeKind, { name: 'n1' });
    const cpu = `${Math.floor(milliOf(node.status?.allocatable?.cpu) * 0.6)}m`;
    const create = (name: string, priorityClassName: string, schedulingGates?: { name: string }[]) =>
      client.create(podKind, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace, name },
        spec: {
          priorityClassName,
          schedulingGates,
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'c', image: 'demo:1', resources: { requests: { cpu } } }],
        },
      });
    const get = (name: string) => client.get(podKind, { namespace, name });
    await create('low', 'low');
    await eventually(() => get('low'), isReady as (pod: Pod) => boolean);
    await create('high', 'high', [{ name: 'example.com/wait' }]);
    expect((await get('high')).status?.conditions).toMatchObject([{ reason: 'SchedulingGated', status: 'False' }]);
    const hold = { type: 'merge' as const, body: { metadata: { finalizers: ['example.com/hold'] } } };
    await client.patch(podKind, { namespace, name: 'low' }, hold);
    await client.patch(
      podKind,
      { namespace, name: 'high' },
      { type: 'merge', body: { spec: { schedulingGates: [] } } },
    );
    const victim = await eventually(
      () => get('low'),
      (pod) => !!pod.metadata.deletionTimestamp,
    );
    expect(victim.status?.conditions).toContainEqual(
      expect.objectContaining({
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'PreemptionByScheduler',
        message: 'default-scheduler: preempting to accommodate a higher priority pod',
      }),
    );
    // How long the nomination stands depends on how soon the victim's containers are gone; what was said of it stays.
    const refused = await eventually(
      async () =>
        (await client.list(eventKind, { namespace })).items.filter(({ reason }) => reason === 'FailedScheduling'),
      (list) => list.length > 0,
    );
    expect(refused[0]!.message).toBe(
      '0/1 nodes are available: 1 Insufficient cpu. preemption: found a potential placement for pod on node n1, preempting 1 victims',
    );
    const high = await get('high');
    await client.patch(
      podKind,
      { namespace, name: 'low' },
      { type: 'merge', body: { metadata: { finalizers: null } } },
    );
    await eventually(() => get('high'), isReady as (pod: Pod) => boolean);
    const told = await eventually(
      async () => (await client.list(eventKind, { namespace })).items.filter(({ reason }) => reason === 'Preempted'),
      (list) => list.length > 0,
    );
    expect(told).toMatchObject([
      { message: `Preempted by pod ${high.metadata.uid} on node n1`, involvedObject: { name: 'low' } },
    ]);
  });
});

describe('deployments', () => {
  const web = (image: string, strategy?: NonNullable<Deployment['spec']>['strategy']): Deployment => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: key,
    spec: {
      replicas: 3,
      strategy,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: {
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 0,
          containers: [{ name: 'c', image }],
        },
      },
    },
  });
  const deployment = () => client.get(deploymentKind, key);
  const sets = async () => (await client.list(replicaSetKind, { namespace })).items;
  const setImage = (image: string) =>
    client.patch(deploymentKind, key, {
      type: 'strategic',
      body: { spec: { template: { spec: { containers: [{ name: 'c', image }] } } } },
    });
  const isRolledOut = ({ spec, status, metadata }: Deployment) =>
    status?.observedGeneration === metadata.generation &&
    status?.replicas === spec?.replicas &&
    status?.updatedReplicas === spec?.replicas &&
    status?.availableReplicas === spec?.replicas;

  test('rolls out, updates without ever having too few, remembers, rolls back', async () => {
    const made = await client.create(deploymentKind, web('demo:1'));
    expect(made.spec).toMatchObject({
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    });
    const first = await eventually(deployment, isRolledOut);
    expect(first.metadata.annotations).toMatchObject({ 'deployment.kubernetes.io/revision': '1' });
    expect(first.status?.conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`).sort()).toEqual([
      'Available True MinimumReplicasAvailable',
      'Progressing True NewReplicaSetAvailable',
    ]);
    const counts: number[] = [];
    const stop = new AbortController();
    const watched = (async () => {
      for await (const { object } of client.watch(deploymentKind, { namespace }, stop.signal))
        counts.push((object as Deployment).status?.availableReplicas ?? 0);
    })().catch(() => {});
    await setImage('demo:2');
    await eventually(deployment, (one) => isRolledOut(one) && one.metadata.generation === 2);
    stop.abort();
    await watched;
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(3); // 25 % of 3 is less than one pod
    expect((await pods()).map(({ spec }) => spec?.containers[0]?.image)).toEqual(['demo:2', 'demo:2', 'demo:2']);
    expect((await sets()).map(({ spec }) => spec?.replicas).sort()).toEqual([0, 3]);
    await setImage('demo:1');
    const back = await eventually(deployment, (one) => isRolledOut(one) && one.metadata.generation === 3);
    expect(back.metadata.annotations).toMatchObject({ 'deployment.kubernetes.io/revision': '3' });
    expect(await sets()).toHaveLength(2); // the old one serves again
    await client.delete(deploymentKind, key);
    await eventually(pods, (list) => list.length === 0);
    await eventually(sets, (list) => list.length === 0);
  });

  test('recreate never mixes; paused ones take a new size but no new template', async () => {
    await client.create(deploymentKind, web('demo:1', { type: 'Recreate' }));
    await eventually(deployment, isRolledOut);
    await setImage('demo:2');
    const mixed = new Set<string>();
    await eventually(
      async () => {
        const images = new Set((await pods()).filter(isReady).map(({ spec }) => spec?.containers[0]?.image));
        mixed.add([...images].sort().join(' '));
        return deployment();
      },
      (one) => isRolledOut(one) && one.metadata.generation === 2,
    );
    expect(mixed.has('demo:1 demo:2')).toBe(false);
    await client.patch(deploymentKind, key, { type: 'merge', body: { spec: { paused: true } } });
    await setImage('demo:3');
    await client.patch(
      deploymentKind,
      key,
      { type: 'merge', body: { spec: { replicas: 1 } } },
      { subresource: 'scale' },
    );
    await eventually(pods, (list) => list.length === 1);
    expect((await pods())[0]?.spec?.containers[0]?.image).toBe('demo:2');
    const paused = await eventually(deployment, ({ status }) =>
      (status?.conditions ?? []).some(({ reason }) => reason === 'DeploymentPaused'),
    );
    expect(paused.status?.replicas).toBe(1);
    await client.patch(deploymentKind, key, { type: 'merge', body: { spec: { paused: false } } });
    await eventually(pods, (list) => list.length === 1 && list[0]?.spec?.containers[0]?.image === 'demo:3');
  });

  test('a budget counts what the Deployment wants, not what its two ReplicaSets want while it rolls out', async () => {
    await client.create(deploymentKind, web('demo:1', { type: 'RollingUpdate', rollingUpdate: { maxSurge: 2 } }));
    await eventually(deployment, isRolledOut);
    const selector = { matchLabels: web('demo:1').spec!.template.metadata!.labels };
    const metadata = { name: 'web', namespace };
    await client.create(podDisruptionBudgetKind, { metadata, spec: { maxUnavailable: 1, selector } });
    const budget = () => client.get(podDisruptionBudgetKind, metadata);
    const counted = await eventually(budget, ({ status }) => status?.currentHealthy === 3);
    expect(counted.status).toMatchObject({ expectedPods: 3, desiredHealthy: 2, disruptionsAllowed: 1 });
    await setImage('never:1'); // the new set's pods never start: both sets want pods from here on
    await eventually(sets, (list) => list.length === 2 && list.every(({ spec }) => (spec?.replicas ?? 0) > 0));
    const both = await eventually(budget, ({ status }) => status?.observedGeneration === 1);
    expect(both.status?.expectedPods).toBe(3);
  });

  test('mistakes are told all at once', async () => {
    const wrong = web('demo:1', { type: 'Recreate', rollingUpdate: { maxSurge: 1 } });
    wrong.spec!.selector = { matchLabels: { app: 'other' } };
    wrong.spec!.replicas = -1;
    const error = (await client.create(deploymentKind, wrong).catch((caught: unknown) => caught)) as StatusError;
    expect(error.details?.causes?.map(({ field }) => field)).toEqual([
      'spec.replicas',
      'spec.template.metadata.labels',
      'spec.strategy.rollingUpdate',
    ]);
  });
});
