import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  configMapKind,
  eventKind,
  type KubeObject,
  leaseKind,
  nodeKind,
  type Pod,
  podKind,
  serviceAccountKind,
} from '#api';
import { seededRandom, silentLog, systemClock, systemExec } from '#base';
import type { Client } from '#client';
import type { ApiServer, ApiServerOptions } from '../core/apiserver/contract.ts';
import { createSchemaEngine } from '../core/apiserver/schema/schema.ts';
import { createApiServer } from '../core/apiserver/server.ts';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { type Kubelet, type KubeletOptions, startKubelet } from '../core/kubelet/kubelet.ts';
import { createFakeRuntime, type FakeRuntime } from '../core/kubelet/runtimes/fake.ts';
import { createEventRecorder } from '../core/sdk/recorder.ts';
import { createMemoryStore } from '../core/store/memory.ts';

const common = { clock: systemClock, random: seededRandom(7), log: silentLog };
let folder: string;
let api: ApiServer;
let client: Client;
let runtime: FakeRuntime;
let kubelet: Kubelet | undefined;
let ends: (() => unknown)[];

async function startNode(options: Partial<KubeletOptions> = {}): Promise<Kubelet> {
  const abort = new AbortController();
  const informers = createInformers({ client, signal: abort.signal, ...common });
  const events = createEventRecorder({ client, component: 'kubelet', host: 'n1', ...common });
  const started = await startKubelet({
    ...common,
    client,
    informers,
    events,
    nodeName: 'n1',
    nodeIp: '192.0.2.7',
    runtime,
    stateFolder: folder,
    exec: systemExec,
    clusterDns: ['10.96.0.10'],
    ...options,
  });
  ends.push(async () => {
    await started[Symbol.asyncDispose]();
    await events[Symbol.asyncDispose]();
    abort.abort();
  });
  await started.registered;
  return started;
}
async function stopNode(): Promise<void> {
  await ends.pop()!();
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kubelet-'));
  ends = [];
  api = await createApiServer({
    store: await createMemoryStore(),
    ...common,
    serviceRange: '10.96.0.0/24',
    schema: createSchemaEngine(),
    advertise: { ip: '192.0.2.1', port: 6443 },
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  } as ApiServerOptions);
  client = createClient({ fetch: (request) => api.fetch(request), baseUrl: 'http://localhost', token: '' });
  await client.create(serviceAccountKind, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace: 'default' },
  });
  runtime = createFakeRuntime({ clock: systemClock, random: seededRandom(1), ipPrefix: '10.88.0' });
});
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  await runtime[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const podOf = (name: string, spec: Partial<NonNullable<Pod['spec']>> = {}): Pod & KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: {
    nodeName: 'n1',
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'c', image: 'demo:1' }],
    ...spec,
  },
});
const key = (name: string) => ({ namespace: 'default', name });
const create = (name: string, spec?: Partial<NonNullable<Pod['spec']>>) => client.create(podKind, podOf(name, spec));

/** The pod once it fulfils the condition. */
async function until(name: string, wanted: (pod: Pod) => boolean, withinMs = 4_000): Promise<Pod> {
  const signal = AbortSignal.timeout(withinMs);
  let last: Pod | undefined;
  try {
    for await (const event of client.watch(
      podKind,
      { namespace: 'default', fieldSelector: `metadata.name=${name}`, resourceVersion: '0' },
      signal,
    )) {
      last = event.object as Pod;
      if (event.type !== 'BOOKMARK' && wanted(last)) return last;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  throw new Error(`not reached: ${JSON.stringify(last?.status, null, 1)}`);
}
async function gone(name: string): Promise<void> {
  const signal = AbortSignal.timeout(6_000);
  const { metadata } = await client.list(podKind, { namespace: 'default' });
  if (!(await client.list(podKind, { namespace: 'default' })).items.some((pod) => pod.metadata.name === name)) return;
  for await (const event of client.watch(
    podKind,
    { namespace: 'default', resourceVersion: metadata.resourceVersion },
    signal,
  ))
    if (event.type === 'DELETED' && event.object.metadata.name === name) return;
  throw new Error(`${name} is still there`);
}
const eventually = async <R>(read: () => Promise<R> | R, wanted: (value: R) => boolean): Promise<R> => {
  for (let round = 0; round < 400; round++) {
    const value = await read();
    if (wanted(value)) return value;
    await systemClock.sleep(10);
  }
  throw new Error(`not reached: ${JSON.stringify(await read())}`);
};
const running = (pod: Pod) => pod.status?.phase === 'Running';
const ready = (pod: Pod) => pod.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
const messages = async (reason: string) =>
  (await client.list(eventKind, { namespace: 'default' })).items
    .filter((event) => event.reason === reason)
    .map(({ message }) => message);

describe('the node', () => {
  test('registers itself with a lease', async () => {
    kubelet = await startNode();
    const node = await client.get(nodeKind, { name: 'n1' });
    expect(node.metadata.labels?.['kubernetes.io/hostname']).toBe('n1');
    expect(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('True');
    expect(node.status?.addresses?.[0]).toEqual({ type: 'InternalIP', address: '192.0.2.7' });
    expect((await client.get(leaseKind, { namespace: 'kube-node-lease', name: 'n1' })).spec?.holderIdentity).toBe('n1');
  });
});

test('the lease says how long to wait for a sign, and is renewed four times in it', async () => {
  kubelet = await startNode({ leaseSeconds: 1 });
  const read = () => client.get(leaseKind, { namespace: 'kube-node-lease', name: 'n1' });
  const first = (await read()).spec!;
  expect(first.leaseDurationSeconds).toBe(1);
  const startMs = systemClock.monotonicMs();
  await eventually(
    async () => (await read()).spec!.renewTime,
    (time) => time !== first.renewTime,
  );
  expect(systemClock.monotonicMs() - startMs).toBeLessThan(1_000);
});

describe('a pod', () => {
  test('runs, becomes ready and goes away without a trace', async () => {
    kubelet = await startNode();
    await create('web');
    const pod = await until('web', ready);
    const status = pod.status!;
    expect(status).toMatchObject({ phase: 'Running', hostIP: '192.0.2.7', qosClass: 'BestEffort' });
    expect(status.podIP).toStartWith('10.88.0.');
    expect(status.containerStatuses![0]).toMatchObject({ name: 'c', ready: true, started: true, restartCount: 0 });
    expect(status.containerStatuses![0]!.containerID).toStartWith('fake://');
    expect(kubelet.access.findContainer('default', 'web', 'c').type).toBe('found');
    expect(kubelet.access.findContainer('default', 'web', 'c', true).type).toBe('noPrevious');
    expect(kubelet.access.findContainer('default', 'web', 'no').type).toBe('noContainer');
    await client.delete(podKind, key('web'));
    await gone('web');
    expect(await runtime.observe()).toEqual({ sandboxes: [], containers: [] });
    expect(await readdir(join(folder, 'pods'))).toEqual([]);
    await eventually(
      () => messages('Killing'),
      (all) => all.includes('Stopping container c'),
    );
    expect(await messages('Pulling')).toEqual(['Pulling image "demo:1"']);
  });

  test('is restarted with a back-off', async () => {
    kubelet = await startNode();
    await create('crash');
    const { metadata } = await until('crash', running);
    runtime.exit(metadata.uid!, 'c', 3);
    const second = await until(
      'crash',
      (pod) => pod.status?.containerStatuses?.[0]?.restartCount === 1 && running(pod) && ready(pod),
    );
    expect(second.status!.containerStatuses![0]!.lastState?.terminated).toMatchObject({ exitCode: 3, reason: 'Error' });
    expect(kubelet.access.findContainer('default', 'crash', 'c', true).type).toBe('found');
    runtime.exit(metadata.uid!, 'c', 3);
    const waiting = await until('crash', (pod) => Boolean(pod.status?.containerStatuses?.[0]?.state?.waiting));
    expect(waiting.status!.containerStatuses![0]!.state!.waiting).toEqual({
      reason: 'CrashLoopBackOff',
      message: `back-off 10s restarting failed container=c pod=crash_default(${metadata.uid})`,
    });
    expect(waiting.status!.phase).toBe('Running');
  });

  test('that must not be restarted ends as Succeeded or Failed', async () => {
    kubelet = await startNode();
    for (const [name, code, phase] of [
      ['good', 0, 'Succeeded'],
      ['bad', 2, 'Failed'],
    ] as const) {
      await create(name, { restartPolicy: 'Never' });
      const { metadata } = await until(name, running);
      runtime.exit(metadata.uid!, 'c', code);
      const pod = await until(name, (each) => each.status?.phase === phase);
      expect(pod.status!.containerStatuses![0]!.state!.terminated!.exitCode).toBe(code);
    }
  });

  test('that has ended keeps its logs and nothing else', async () => {
    kubelet = await startNode();
    await create('done', { restartPolicy: 'Never', volumes: [{ name: 'e', emptyDir: {} }] });
    const { metadata, status } = await until('done', running);
    runtime.exit(metadata.uid!, 'c', 0);
    const condition = (pod: Pod) => pod.status?.conditions?.find(({ type }) => type === 'PodReadyToStartContainers');
    const pod = await until('done', (each) => condition(each)?.status === 'False');
    expect(pod.status).toMatchObject({ phase: 'Succeeded', podIP: status!.podIP });
    const { sandboxes, containers } = await runtime.observe(metadata.uid);
    expect(sandboxes).toEqual([]);
    expect(containers.map(({ state }) => state)).toEqual(['exited']);
    expect(kubelet.access.findContainer('default', 'done', 'c').type).toBe('found');
    expect(await readdir(join(folder, 'pods', metadata.uid!))).not.toContain('volumes');
    await stopNode();
    kubelet = await startNode();
    await eventually(
      () => kubelet!.podCount(),
      (count) => count === 1,
    );
    expect((await client.get(podKind, key('done'))).status).toMatchObject({ phase: 'Succeeded', podIP: status!.podIP });
    await client.delete(podKind, key('done')); // gone in the API at once
    await eventually(
      () => runtime.observe(),
      (seen) => seen.containers.length === 0,
    );
  });

  test('whose image cannot be pulled says so', async () => {
    runtime = createFakeRuntime({ clock: systemClock, random: seededRandom(1), pull: () => 'no such image' });
    kubelet = await startNode();
    await create('pull');
    const reason = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.reason;
    await until('pull', (pod) => reason(pod) === 'ErrImagePull');
    const pod = await until('pull', (each) => reason(each) === 'ImagePullBackOff');
    expect(pod.status!.containerStatuses![0]!.state!.waiting!.message).toBe(
      'Back-off pulling image "demo:1": ErrImagePull: no such image',
    );
    expect(pod.status!.phase).toBe('Pending');
  });

  test('with an unsupported field waits and names it', async () => {
    kubelet = await startNode();
    await create('odd', { hostUsers: false });
    const pod = await until('odd', (each) => each.status?.reason === 'UnsupportedField');
    expect(pod.status!.message).toContain('spec.hostUsers');
    expect(pod.status!.phase).toBe('Pending');
    expect((await runtime.observe()).sandboxes).toEqual([]);
    await client.delete(podKind, key('odd'));
    await gone('odd');
  });

  test('runs its init containers in order', async () => {
    runtime = createFakeRuntime({
      clock: systemClock,
      random: seededRandom(1),
      script: (spec) => (spec.name.startsWith('i') ? { runsMs: 1, exitCode: 0 } : undefined),
    });
    kubelet = await startNode();
    await create('init', {
      initContainers: [
        { name: 'i1', image: 'x' },
        { name: 'side', image: 'x', restartPolicy: 'Always' },
        { name: 'i2', image: 'x' },
      ],
    });
    const pod = await until('init', ready);
    expect(
      pod.status!.initContainerStatuses!.map(({ name, ready: ok, state }) => [name, ok, Object.keys(state!)[0]]),
    ).toEqual([
      ['i1', true, 'terminated'],
      ['side', true, 'running'],
      ['i2', true, 'terminated'],
    ]);
  });

  test('gets config maps as files that follow, and as environment', async () => {
    kubelet = await startNode();
    const map = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'cm', namespace: 'default' },
      data: { a: '1' },
    };
    await client.create(configMapKind, map);
    await create('files', {
      volumes: [
        { name: 'v', configMap: { name: 'cm' } },
        { name: 'e', emptyDir: {} },
      ],
      containers: [
        {
          name: 'c',
          image: 'demo:1',
          env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'a' } } }],
          volumeMounts: [
            { name: 'v', mountPath: '/v' },
            { name: 'e', mountPath: '/e', subPath: 'x/y' },
          ],
        },
      ],
    });
    const pod = await until('files', running);
    const root = join(folder, 'pods', pod.metadata.uid!, 'volumes');
    expect(await readFile(join(root, 'v', 'a'), 'utf8')).toBe('1');
    expect(await readdir(join(root, 'e', 'x'))).toEqual(['y']);
    await client.patch(configMapKind, key('cm'), { type: 'merge', body: { data: { a: null, b: '2' } } });
    await eventually(
      () => readFile(join(root, 'v', 'b'), 'utf8').catch(() => ''),
      (text) => text === '2',
    );
    expect((await readdir(join(root, 'v'))).filter((name) => !name.startsWith('..'))).toEqual(['b']);
  });

  test('waits for a config map that is missing', async () => {
    kubelet = await startNode();
    await create('wait', {
      containers: [{ name: 'c', image: 'demo:1', envFrom: [{ configMapRef: { name: 'late' } }] }],
    });
    const pod = await until(
      'wait',
      (each) => each.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
    );
    expect(pod.status!.containerStatuses![0]!.state!.waiting!.message).toBe('configmap "late" not found');
  });

  test('is probed: readiness gates traffic, liveness restarts', async () => {
    let healthy = false;
    let alive = true;
    runtime = createFakeRuntime({
      clock: systemClock,
      random: seededRandom(1),
      exec: (command) => ({ code: (command[0] === 'live' ? alive : healthy) ? 0 : 1 }),
    });
    kubelet = await startNode();
    const probe = (name: string) => ({ exec: { command: [name] }, periodSeconds: 1, failureThreshold: 1 });
    await create('probed', {
      containers: [{ name: 'c', image: 'demo:1', readinessProbe: probe('ready'), livenessProbe: probe('live') }],
    });
    const before = await until('probed', running);
    expect(ready(before)).toBe(false);
    healthy = true;
    await until('probed', ready);
    alive = false;
    await until('probed', (pod) => pod.status?.containerStatuses?.[0]?.restartCount === 1, 8_000);
  }, 12_000);

  test('says again that it is ready when the node controller had said otherwise', async () => {
    kubelet = await startNode();
    await create('heard');
    const { status } = await until('heard', ready);
    const conditions = status!.conditions!.map((each) => (each.type === 'Ready' ? { ...each, status: 'False' } : each));
    await client.patch(
      podKind,
      key('heard'),
      { type: 'strategic', body: { status: { conditions } } },
      { subresource: 'status' },
    );
    await until('heard', ready);
  });

  test('survives a restart of the kubelet untouched', async () => {
    kubelet = await startNode();
    await create('stay');
    await create('leave');
    const stay = await until('stay', ready);
    await until('leave', ready);
    await stopNode();
    await client.delete(podKind, key('leave'), { gracePeriodSeconds: 0 });
    kubelet = await startNode();
    await eventually(
      () => runtime.observe(),
      ({ sandboxes }) => sandboxes.length === 1,
    );
    const again = await client.get(podKind, key('stay'));
    expect(again.status!.containerStatuses![0]).toEqual(stay.status!.containerStatuses![0]!);
    expect(again.status!.podIP).toBe(stay.status!.podIP);
    expect(kubelet.access.findContainer('default', 'stay', 'c').type).toBe('found');
  });

  test('gets a new sandbox when its own dies', async () => {
    kubelet = await startNode();
    await create('box');
    const { metadata } = await until('box', ready);
    runtime.crashSandbox(metadata.uid!);
    const pod = await until('box', (each) => ready(each) && each.status!.containerStatuses![0]!.restartCount === 1);
    expect(pod.status!.phase).toBe('Running');
  });
});
