// One pod's start, as the components of a cluster tell it to a collector.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KubeObject, namespaceKind, type Pod, podKind, serviceAccountKind, serviceKind } from '#api';
import { Scope, seededRandom, silentLog, systemClock, systemExec } from '#base';
import type { AnyStrategy, ApiServerOptions } from '../core/apiserver/contract.ts';
import { patches } from '../core/apiserver/patch/patches.ts';
import { createSchemaEngine } from '../core/apiserver/schema/schema.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { strategies } from '../core/apiserver/strategies/index.ts';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { openOtlp } from '../core/cmd/tracing/otlp.ts';
import { coreControllers } from '../core/controllers/index.ts';
import { startKubelet } from '../core/kubelet/kubelet.ts';
import { createFakeRuntime } from '../core/kubelet/runtimes/fake.ts';
import { startScheduler } from '../core/scheduler/scheduler.ts';
import { startControllers } from '../core/sdk/controller.ts';
import { createEventRecorder } from '../core/sdk/recorder.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import { eventually } from './fixtures/eventually.ts';
import { factOf, OtlpCollector, type Span, treeOf } from './fixtures/otlp-collector.ts';

const scope = new Scope();
const seams = { clock: systemClock, random: seededRandom(5), log: silentLog };
const collector = new OtlpCollector();
let client: ReturnType<typeof createClient>;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pintle-tracing-'));
  scope.defer(() => rm(folder, { recursive: true, force: true }));
  scope.use(collector as Disposable);
  const own = { endpoint: collector.endpoint, clusterId: 'c', nodeName: 'n1', log: silentLog, delayMs: 20 };
  const tracerOf = (service: string, component = service) => scope.use(openOtlp({ ...own, service })).of(component);
  const server = scope.use(
    await createApiServer({
      store: await createMemoryStore(),
      ...seams,
      serviceRange: '10.96.0.0/24',
      schema: createSchemaEngine(),
      patches,
      strategies: strategies as readonly AnyStrategy[],
      advertise: { ip: '192.0.2.1', port: 6443 },
      authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
      authorizer: { authorize: () => ({ allowed: true }) },
      tokens: { issue: async () => ({ token: 't', expirationTimestamp: '2100-01-01T00:00:00Z' }) },
      tracer: tracerOf('apiserver'),
    } as unknown as ApiServerOptions),
  );
  const headers = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` };
  const fetch = (request: Request) => {
    for (const [name, value] of Object.entries(headers)) request.headers.set(name, value);
    return server.fetch(request);
  };
  client = createClient({ fetch, baseUrl: 'http://localhost', userAgent: 'shopper/1' });
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  const events = scope.use(createEventRecorder({ client, ...seams, component: 'test' }));
  const shared = { client, informers, events, ...seams };
  scope.use(await startScheduler({ ...shared, tracer: tracerOf('controllers', 'scheduler') }));
  scope.use(
    await startControllers(coreControllers({ rootCa: 'test' }), { ...shared, tracer: tracerOf('controllers') }),
  );
  const kubelet = await startKubelet({
    ...shared,
    nodeName: 'n1',
    nodeIp: '192.0.2.7',
    runtime: createFakeRuntime({
      clock: systemClock,
      random: seededRandom(1),
      startMs: 20,
      pullMs: 30,
      ipPrefix: '10.88.0',
    }),
    stateFolder: folder,
    exec: systemExec,
    clusterDns: [],
    capacity: { cpu: '8', memory: '16Gi', pods: '110' },
    tracer: tracerOf('node', 'kubelet'),
  });
  scope.use(kubelet);
  await kubelet.registered;
  await client.create(namespaceKind, { metadata: { name: 'shop' } } as never);
  await eventually(
    async () => (await client.list(serviceAccountKind, { namespace: 'shop' })).items.length,
    (count) => count > 0,
  );
}, 60_000);
afterAll(() => scope[Symbol.asyncDispose](), 60_000);

const create = async (name: string, spec: object = {}) => {
  const containers = [{ name: 'c', image: 'demo:1' }];
  const metadata = { name, namespace: 'shop', labels: { app: name } };
  const pod = await client.create(podKind, { metadata, spec: { containers, ...spec } } as unknown as Pod & KubeObject);
  return pod.metadata.uid!;
};
const spansOf = (uid: string): Span[] => collector.spans.filter(({ traceId }) => traceId === uid.replaceAll('-', ''));
const told = (uid: string, ...names: string[]) =>
  eventually(
    async () => spansOf(uid),
    (spans) => names.every((name) => spans.some((one) => one.name === name)),
  );

test('from the request to the endpoints: one trace, every step within the one that it is part of, in order', async () => {
  const ports = [{ port: 80 }];
  await client.create(serviceKind, {
    metadata: { name: 'web', namespace: 'shop' },
    spec: { selector: { app: 'web' }, ports },
  } as never);
  const uid = await create('web');
  const spans = await told(uid, 'pod.start', 'endpoints.write');
  expect(treeOf(spans)).toEqual([
    'container.create < pod.start',
    'container.start < pod.start',
    'endpoints.write < pod.create',
    'image.ensure < pod.start',
    'pod.bind < pod.schedule',
    'pod.create',
    'pod.decide < pod.schedule',
    'pod.network < pod.start',
    'pod.ready < pod.start',
    'pod.sandbox < pod.start',
    'pod.schedule < pod.create',
    'pod.start < pod.create',
    'pod.volumes < pod.start',
  ]);
  const one = (name: string) => spans.find((span) => span.name === name)!;
  const from = (name: string) => BigInt(one(name).startTimeUnixNano);
  const until = (name: string) => BigInt(one(name).endTimeUnixNano);
  const inOrder = [
    'pod.create',
    'pod.schedule',
    'pod.start',
    'pod.sandbox',
    'container.create',
    'container.start',
    'pod.ready',
  ];
  for (const [index, name] of inOrder.entries())
    if (index > 0) expect(from(name)).toBeGreaterThanOrEqual(from(inOrder[index - 1]!));
  for (const name of ['pod.sandbox', 'container.start', 'pod.ready'])
    expect([from(name) >= from('pod.start'), until(name) <= until('pod.start')]).toEqual([true, true]);
  expect(until('endpoints.write')).toBeGreaterThanOrEqual(until('container.start'));
  expect(spans.map(({ service, component, name }) => `${service} ${component} ${name}`)).toEqual(
    expect.arrayContaining([
      'apiserver apiserver pod.create',
      'controllers scheduler pod.schedule',
      'controllers controllers endpoints.write',
      'node kubelet pod.start',
    ]),
  );
  expect(factOf(one('pod.create'), 'user_agent.original')).toBe('shopper');
  expect(one('pod.create').links).toMatchObject([{ traceId: '1'.repeat(32) }]); // the caller's trace is another one
  expect(factOf(one('pod.schedule'), 'k8s.node.name')).toBe('n1');
  expect(factOf(one('container.start'), 'k8s.container.name')).toBe('c');
  expect(factOf(one('endpoints.write'), 'k8s.service.name')).toBe('web');
});

test('a pod that no node takes: the reason stands at the decision', async () => {
  const uid = await create('picky', { nodeSelector: { disk: 'none-has-it' } });
  const [decision] = (await told(uid, 'pod.decide')).filter(({ name }) => name === 'pod.decide');
  expect(decision?.status?.message).toContain("didn't match Pod's node affinity/selector");
});

test('a pod that is deleted before it is ready, and one that has no scheduler', async () => {
  const readinessProbe = { exec: { command: ['never'] }, initialDelaySeconds: 3_600 };
  const uid = await create('early', { nodeName: 'n1', containers: [{ name: 'c', image: 'demo:1', readinessProbe }] });
  await told(uid, 'container.start');
  await client.delete(podKind, { namespace: 'shop', name: 'early' }, { gracePeriodSeconds: 0 });
  const spans = await told(uid, 'pod.start');
  expect(spans.find(({ name }) => name === 'pod.start')?.status?.message).toBe('deleted before it was ready');
  expect(spans.map(({ name }) => name)).not.toContain('pod.schedule');
});
