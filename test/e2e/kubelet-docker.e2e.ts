/** The kubelet on a real engine, a private one where none is given. Needs a static busybox; says what it skips. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KubeObject, type Pod, podKind, serviceAccountKind } from '#api';
import { createLog, seededRandom, systemClock, systemExec } from '#base';
import type { Client } from '#client';
import type { ContainerRuntime } from '#sdk';
import type { ApiServer, ApiServerOptions } from '../../core/apiserver/contract.ts';
import { createSchemaEngine } from '../../core/apiserver/schema/schema.ts';
import { createApiServer } from '../../core/apiserver/server.ts';
import { createInformers } from '../../core/client/cache-informer.ts';
import { createClient } from '../../core/client/http.ts';
import { type Kubelet, startKubelet } from '../../core/kubelet/kubelet.ts';
import { createDockerRuntime } from '../../core/kubelet/runtimes/docker.ts';
import { createEventRecorder } from '../../core/sdk/recorder.ts';
import { createMemoryStore } from '../../core/store/memory.ts';
import { testEngine } from '../fixtures/docker-engine.ts';
import { waitMsMax } from '../fixtures/eventually.ts';
import { skipped } from '../fixtures/skipped.ts';

const engine = existsSync('/usr/bin/busybox') ? await testEngine() : 'there is no /usr/bin/busybox';
const able = typeof engine !== 'string';
const socketPath = able ? engine.socketPath : '';
if (typeof engine === 'string') skipped('e2e', 'the kubelet on Docker', engine);
const image = 'pintle/kubelet-test:local';

describe.skipIf(!able)('the kubelet on Docker', () => {
  const log = createLog((line) => process.stderr.write(`${line}\n`), { now: Date.now, level: 'warn' });
  const common = { clock: systemClock, random: seededRandom(7), log };
  let folder: string;
  let api: ApiServer;
  let client: Client;
  let runtime: ContainerRuntime;
  let kubelet: Kubelet;
  const ends: (() => unknown)[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kubelet-e2e-'));
    const docker = (...argv: string[]) => systemExec.run(['docker', '-H', `unix://${socketPath}`, ...argv]);
    await systemExec.run(['mkdir', '-p', join(folder, 'root/bin')]);
    await systemExec.run(['cp', '/usr/bin/busybox', join(folder, 'root/bin/busybox')]);
    await systemExec.run(['ln', '-s', 'busybox', join(folder, 'root/bin/sh')]);
    await systemExec.run(['tar', '-C', join(folder, 'root'), '-cf', join(folder, 'root.tar'), '.']);
    expect(await docker('import', join(folder, 'root.tar'), image)).toMatchObject({ code: 0 });
    api = await createApiServer({
      store: await createMemoryStore(),
      ...common,
      serviceRange: '10.96.0.0/24',
      schema: createSchemaEngine(),
      advertise: { ip: '192.0.2.1', port: 6443 },
      authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
      authorizer: { authorize: () => ({ allowed: true }) },
    } as ApiServerOptions);
    client = createClient({ fetch: (request) => api.fetch(request), baseUrl: 'http://localhost' });
    const metadata = { name: 'default', namespace: 'default' };
    await client.create(serviceAccountKind, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    runtime = await createDockerRuntime({
      socketPath,
      clusterId: 'kubelet-e2e',
      stateFolder: folder,
      clock: systemClock,
      log,
    });
    await start();
  });
  afterAll(async () => {
    for (const end of ends.reverse()) await end();
    for (const { podUid } of (await runtime?.observe())?.sandboxes ?? []) await runtime.removeSandbox(podUid);
    await runtime?.[Symbol.asyncDispose]();
    await api?.[Symbol.asyncDispose]();
    if (folder) await rm(folder, { recursive: true, force: true });
    if (able) await engine[Symbol.asyncDispose]();
  });

  async function start(): Promise<void> {
    const abort = new AbortController();
    const informers = createInformers({ client, signal: abort.signal, ...common });
    const events = createEventRecorder({ client, component: 'kubelet', host: 'n1', ...common });
    kubelet = await startKubelet({
      ...common,
      client,
      informers,
      events,
      nodeName: 'n1',
      nodeIp: '127.0.0.1',
      runtime,
      stateFolder: folder,
      exec: systemExec,
      isRoot: process.getuid?.() === 0,
    });
    ends.push(async () => {
      await kubelet[Symbol.asyncDispose]();
      await events[Symbol.asyncDispose]();
      abort.abort();
    });
    await kubelet.registered;
  }
  const create = (name: string, spec: Partial<NonNullable<Pod['spec']>>) => {
    const pod: Pod & KubeObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        nodeName: 'n1',
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 0,
        containers: [],
        ...spec,
      },
    };
    return client.create(podKind, pod);
  };
  const sh = (script: string) => ({ name: 'c', image, imagePullPolicy: 'Never', command: ['sh', '-c', script] });
  async function until(name: string, wanted: (pod: Pod) => boolean): Promise<Pod> {
    const signal = AbortSignal.timeout(waitMsMax);
    let last: Pod | undefined;
    const query = { namespace: 'default', fieldSelector: `metadata.name=${name}`, resourceVersion: '0' };
    for await (const event of client.watch(podKind, query, signal)) {
      last = event.object as Pod;
      if (event.type !== 'BOOKMARK' && wanted(last)) return last;
    }
    throw new Error(`not reached: ${JSON.stringify(last?.status, null, 1)}`);
  }

  test('runs a pod with volumes and environment to its end', async () => {
    await create('job', {
      restartPolicy: 'Never',
      volumes: [
        { name: 'e', emptyDir: { medium: 'Memory' } },
        { name: 'd', downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
      ],
      containers: [
        {
          ...sh(
            'busybox echo "$GREETING $(busybox cat /d/name) $(busybox hostname)" > /e/x; busybox cat /e/x > /dev/termination-log; exit 3',
          ),
          env: [{ name: 'GREETING', value: 'hello' }],
          volumeMounts: [
            { name: 'e', mountPath: '/e' },
            { name: 'd', mountPath: '/d' },
          ],
        },
      ],
    });
    const pod = await until('job', ({ status }) => status?.phase === 'Failed');
    expect(pod.status!.containerStatuses![0]!.state!.terminated).toMatchObject({
      exitCode: 3,
      message: 'hello job job\n',
    });
  });

  test('sees the end of programs that end at once', async () => {
    const names = ['fast-1', 'fast-2', 'fast-3', 'fast-4'];
    for (const name of names) await create(name, { restartPolicy: 'Never', containers: [sh('exit 0')] });
    const ended = await Promise.all(
      names.map((name) => until(name, ({ status }) => status?.phase === 'Succeeded' || status?.phase === 'Failed')),
    );
    expect(ended.map(({ status }) => [status?.phase, status?.containerStatuses?.[0]?.restartCount])).toEqual(
      names.map(() => ['Succeeded', 0]),
    );
    for (const name of names) await client.delete(podKind, { namespace: 'default', name });
  });

  test('adopts running containers, probes by exec, and leaves nothing', async () => {
    await create('stay', {
      containers: [{ ...sh('busybox sleep 1000'), readinessProbe: { exec: { command: ['busybox', 'true'] } } }],
    });
    const ready = (pod: Pod) =>
      pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
    const before = await until('stay', ready);
    await ends.pop()!();
    await start();
    const after = await until('stay', ready);
    expect(after.status!.containerStatuses![0]!.containerID).toBe(before.status!.containerStatuses![0]!.containerID!);
    for (const name of ['stay', 'job']) await client.delete(podKind, { namespace: 'default', name });
    for (let round = 0; round < 300 && (await runtime.observe()).sandboxes.length; round++) await systemClock.sleep(50);
    expect(await runtime.observe()).toEqual({ sandboxes: [], containers: [] });
  });

  test('says how long create to Running took', async () => {
    const took: number[] = [];
    for (let round = 0; round < 3; round++) {
      const began = performance.now();
      await create(`fast${round}`, { containers: [sh('busybox sleep 1000')] });
      await until(`fast${round}`, ({ status }) => status?.phase === 'Running');
      took.push(Math.round(performance.now() - began));
      await client.delete(podKind, { namespace: 'default', name: `fast${round}` });
    }
    console.log(`create to Running: ${took.join(', ')} ms`);
  });
});
