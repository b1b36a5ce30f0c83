import { describe, expect, test } from 'bun:test';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { configMapKind, leaseKind, nodeKind, type Pod, podKind } from '#api';
import type { Kubelet } from '../core/kubelet/kubelet.ts';
import { eventually } from './fixtures/eventually.ts';
import { key, ready, running, useKubeletNode } from './fixtures/kubelet-node.ts';

const unreachable = 'node.kubernetes.io/unreachable';
const node = useKubeletNode();
let kubelet: Kubelet | undefined;

describe('the node', () => {
  test('registers itself with a lease', async () => {
    kubelet = await node.start();
    const registered = await node.client.get(nodeKind, { name: 'n1' });
    expect(registered.metadata.labels?.['kubernetes.io/hostname']).toBe('n1');
    expect(registered.status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('True');
    expect(registered.status?.addresses?.[0]).toEqual({ type: 'InternalIP', address: '192.0.2.7' });
    expect((await node.client.get(leaseKind, { namespace: 'kube-node-lease', name: 'n1' })).spec?.holderIdentity).toBe(
      'n1',
    );
  });
});

test('the lease says how long to wait for a sign, and is renewed four times in it', async () => {
  kubelet = await node.start({ leaseSeconds: 4_000 });
  const read = () => node.client.get(leaseKind, { namespace: 'kube-node-lease', name: 'n1' });
  const first = (await read()).spec!;
  expect(first.leaseDurationSeconds).toBe(4_000);
  node.clock.skip(1_000_000);
  await eventually(
    async () => (await read()).spec!.renewTime,
    (time) => time !== first.renewTime,
  );
});

test('a node with addresses of both families names both, and loses one that goes', async () => {
  let now = ['192.0.2.7', '2001:db8::7'];
  const handlers: (() => void)[] = [];
  kubelet = await node.start({ nodeIp: { now: () => now, onChange: (handler) => void handlers.push(handler) } });
  const shown = async () =>
    (await node.client.get(nodeKind, { name: 'n1' })).status?.addresses
      ?.filter(({ type }) => type === 'InternalIP')
      .map(({ address }) => address)
      .join();
  await eventually(shown, (text) => text === '192.0.2.7,2001:db8::7');
  now = ['192.0.2.7'];
  for (const handler of handlers) handler();
  await eventually(shown, (text) => text === '192.0.2.7');
});

test('a node that moves says so at once, and so do its pods', async () => {
  let address = '192.0.2.7';
  const handlers: (() => void)[] = [];
  kubelet = await node.start({ nodeIp: { now: () => [address], onChange: (handler) => void handlers.push(handler) } });
  await node.create('web');
  await node.until('web', ready);
  address = '192.0.2.9';
  for (const handler of handlers) handler();
  await eventually(
    async () => (await node.client.get(nodeKind, { name: 'n1' })).status?.addresses?.[0]?.address,
    (found) => found === address,
  );
  await node.until('web', (pod) => pod.status?.hostIP === address);
});

describe('a pod', () => {
  test('runs, becomes ready and goes away without a trace', async () => {
    kubelet = await node.start();
    await node.create('web');
    const pod = await node.until('web', ready);
    const status = pod.status!;
    expect(status).toMatchObject({ phase: 'Running', hostIP: '192.0.2.7', qosClass: 'BestEffort' });
    expect(status.podIP).toStartWith('10.88.0.');
    expect(status.containerStatuses![0]).toMatchObject({ name: 'c', ready: true, started: true, restartCount: 0 });
    expect(status.containerStatuses![0]!.containerID).toStartWith('fake://');
    expect(kubelet.access.findContainer('default', 'web', 'c').type).toBe('found');
    expect(kubelet.access.findContainer('default', 'web', 'c', true).type).toBe('noPrevious');
    expect(kubelet.access.findContainer('default', 'web', 'no').type).toBe('noContainer');
    await node.client.delete(podKind, key('web'));
    await node.gone('web');
    expect(await node.runtime.observe()).toEqual({ sandboxes: [], containers: [] });
    expect(await readdir(join(node.folder, 'pods'))).toEqual([]);
    await eventually(
      () => node.messages('Killing'),
      (all) => all.includes('Stopping container c'),
    );
    expect(await node.messages('Pulling')).toEqual(['Pulling image "demo:1"']);
  });

  test('is restarted with a back-off', async () => {
    kubelet = await node.start();
    await node.create('crash');
    const { metadata } = await node.until('crash', running);
    node.runtime.exit(metadata.uid!, 'c', 3);
    const second = await node.until(
      'crash',
      (pod) => pod.status?.containerStatuses?.[0]?.restartCount === 1 && running(pod) && ready(pod),
    );
    expect(second.status!.containerStatuses![0]!.lastState?.terminated).toMatchObject({ exitCode: 3, reason: 'Error' });
    expect(kubelet.access.findContainer('default', 'crash', 'c', true).type).toBe('found');
    node.runtime.exit(metadata.uid!, 'c', 3);
    const waiting = await node.until('crash', (pod) => Boolean(pod.status?.containerStatuses?.[0]?.state?.waiting));
    expect(waiting.status!.containerStatuses![0]!.state!.waiting).toEqual({
      reason: 'CrashLoopBackOff',
      message: `back-off 10s restarting failed container=c pod=crash_default(${metadata.uid})`,
    });
    expect(waiting.status!.phase).toBe('Running');
  });

  test('that must not be restarted ends as Succeeded or Failed', async () => {
    kubelet = await node.start();
    for (const [name, code, phase] of [
      ['good', 0, 'Succeeded'],
      ['bad', 2, 'Failed'],
    ] as const) {
      await node.create(name, { restartPolicy: 'Never' });
      const { metadata } = await node.until(name, running);
      node.runtime.exit(metadata.uid!, 'c', code);
      const pod = await node.until(name, (each) => each.status?.phase === phase);
      expect(pod.status!.containerStatuses![0]!.state!.terminated!.exitCode).toBe(code);
    }
  });

  test('that has ended keeps its logs and nothing else', async () => {
    kubelet = await node.start();
    await node.create('done', { restartPolicy: 'Never', volumes: [{ name: 'e', emptyDir: {} }] });
    const { metadata, status } = await node.until('done', running);
    node.runtime.exit(metadata.uid!, 'c', 0);
    const condition = (pod: Pod) => pod.status?.conditions?.find(({ type }) => type === 'PodReadyToStartContainers');
    const pod = await node.until('done', (each) => condition(each)?.status === 'False');
    expect(pod.status).toMatchObject({ phase: 'Succeeded', podIP: status!.podIP });
    const { sandboxes, containers } = await node.runtime.observe(metadata.uid);
    expect(sandboxes).toEqual([]);
    expect(containers.map(({ state }) => state)).toEqual(['exited']);
    expect(kubelet.access.findContainer('default', 'done', 'c').type).toBe('found');
    expect(await readdir(join(node.folder, 'pods', metadata.uid!))).not.toContain('volumes');
    await node.stop();
    kubelet = await node.start();
    await eventually(
      () => kubelet!.podCount(),
      (count) => count === 1,
    );
    expect((await node.client.get(podKind, key('done'))).status).toMatchObject({
      phase: 'Succeeded',
      podIP: status!.podIP,
    });
    await node.client.delete(podKind, key('done')); // gone in the API at once
    await eventually(
      () => node.runtime.observe(),
      (seen) => seen.containers.length === 0,
    );
  });

  test('whose image cannot be pulled says so', async () => {
    node.useRuntime({ pull: () => 'no such image' });
    kubelet = await node.start();
    await node.create('pull');
    const reason = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.reason;
    await node.until('pull', (pod) => reason(pod) === 'ErrImagePull');
    const pod = await node.until('pull', (each) => reason(each) === 'ImagePullBackOff');
    expect(pod.status!.containerStatuses![0]!.state!.waiting!.message).toBe(
      'Back-off pulling image "demo:1": ErrImagePull: no such image',
    );
    expect(pod.status!.phase).toBe('Pending');
  });

  test('with an unsupported field waits and names it', async () => {
    kubelet = await node.start();
    await node.create('odd', { hostUsers: false });
    const pod = await node.until('odd', (each) => each.status?.reason === 'UnsupportedField');
    expect(pod.status!.message).toContain('spec.hostUsers');
    expect(pod.status!.phase).toBe('Pending');
    expect((await node.runtime.observe()).sandboxes).toEqual([]);
    await node.client.delete(podKind, key('odd'));
    await node.gone('odd');
  });

  test('runs its init containers in order', async () => {
    node.useRuntime({ script: (spec) => (spec.name.startsWith('i') ? { runsMs: 1, exitCode: 0 } : undefined) });
    kubelet = await node.start();
    await node.create('init', {
      initContainers: [
        { name: 'i1', image: 'x' },
        { name: 'side', image: 'x', restartPolicy: 'Always' },
        { name: 'i2', image: 'x' },
      ],
    });
    const pod = await node.until('init', ready);
    expect(
      pod.status!.initContainerStatuses!.map(({ name, ready: ok, state }) => [name, ok, Object.keys(state!)[0]]),
    ).toEqual([
      ['i1', true, 'terminated'],
      ['side', true, 'running'],
      ['i2', true, 'terminated'],
    ]);
  });

  test('gets config maps as files that follow, and as environment', async () => {
    kubelet = await node.start();
    const map = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'cm', namespace: 'default' },
      data: { a: '1' },
    };
    await node.client.create(configMapKind, map);
    await node.create('files', {
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
    const pod = await node.until('files', running);
    const root = join(node.folder, 'pods', pod.metadata.uid!, 'volumes');
    expect(await readFile(join(root, 'v', 'a'), 'utf8')).toBe('1');
    expect(await readdir(join(root, 'e', 'x'))).toEqual(['y']);
    await node.client.patch(configMapKind, key('cm'), { type: 'merge', body: { data: { a: null, b: '2' } } });
    await eventually(
      () => readFile(join(root, 'v', 'b'), 'utf8').catch(() => ''),
      (text) => text === '2',
    );
    expect((await readdir(join(root, 'v'))).filter((name) => !name.startsWith('..'))).toEqual(['b']);
  });

  test('waits for a config map that is missing', async () => {
    kubelet = await node.start();
    await node.create('wait', {
      containers: [{ name: 'c', image: 'demo:1', envFrom: [{ configMapRef: { name: 'late' } }] }],
    });
    const pod = await node.until(
      'wait',
      (each) => each.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
    );
    expect(pod.status!.containerStatuses![0]!.state!.waiting!.message).toBe('configmap "late" not found');
  });

  test('is probed: readiness gates traffic, liveness restarts', async () => {
    let healthy = false;
    let alive = true;
    node.useRuntime({ exec: (command) => ({ code: (command[0] === 'live' ? alive : healthy) ? 0 : 1 }) });
    kubelet = await node.start();
    const probe = (name: string) => ({ exec: { command: [name] }, periodSeconds: 1, failureThreshold: 1 });
    await node.create('probed', {
      containers: [{ name: 'c', image: 'demo:1', readinessProbe: probe('ready'), livenessProbe: probe('live') }],
    });
    const before = await node.until('probed', running);
    expect(ready(before)).toBe(false);
    healthy = true;
    await node.until('probed', ready);
    alive = false;
    await node.until('probed', (pod) => (pod.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 1);
  });

  test('that takes its whole grace to stop is not ready as soon as its probe says so', async () => {
    let healthy = true;
    node.useRuntime({ exec: () => ({ code: healthy ? 0 : 1 }), stopMs: 600_000 });
    kubelet = await node.start();
    const readinessProbe = { exec: { command: ['ready'] }, periodSeconds: 1, failureThreshold: 1 };
    const containers = [{ name: 'c', image: 'demo:1', readinessProbe }];
    await node.create('leaving', { containers, terminationGracePeriodSeconds: 600 });
    await node.until('leaving', ready);
    await node.client.delete(podKind, key('leaving'));
    healthy = false;
    const pod = await node.until('leaving', (one) => !ready(one));
    expect([pod.metadata.deletionTimestamp !== undefined, pod.status?.phase]).toEqual([true, 'Running']);
    node.clock.skip(600_000);
    await node.gone('leaving');
  });

  test('says again that it is ready when the node controller had said otherwise', async () => {
    kubelet = await node.start();
    await node.create('heard');
    const { status } = await node.until('heard', ready);
    const conditions = status!.conditions!.map((each) => (each.type === 'Ready' ? { ...each, status: 'False' } : each));
    await node.client.patch(
      podKind,
      key('heard'),
      { type: 'strategic', body: { status: { conditions } } },
      { subresource: 'status' },
    );
    // At the pace of the node's own status, which may come before the kubelet has seen what was said.
    await eventually(
      () => {
        node.clock.skip(10_000);
        return node.client.get(podKind, key('heard'));
      },
      (pod) => ready(pod),
    );
  });

  test('of a node that is cut off ends before it is replaced, and goes on when the cluster is heard of again', async () => {
    let silentMs = 0;
    kubelet = await node.start({ silentMs: () => silentMs, leaseSeconds: 10 });
    await node.create('brief', {
      tolerations: [{ key: unreachable, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 20 }],
    });
    await node.create('forever', { tolerations: [{ operator: 'Exists' }] });
    const brief = await node.until('brief', ready);
    const forever = await node.until('forever', ready);
    const runs = async (pod: Pod) =>
      (await node.runtime.observe()).containers.some(
        ({ podUid, state }) => podUid === pod.metadata.uid && state === 'running',
      );
    const after = (pod: Pod, wanted: boolean) =>
      eventually(
        () => {
          node.clock.skip(1_000);
          return runs(pod);
        },
        (is) => is === wanted,
      );
    silentMs = 21_000; // replaced after 30 s
    for (let second = 0; second < 3; second++) {
      node.clock.skip(1_000);
      expect(await runs(brief)).toBe(true);
    }
    silentMs = 22_500;
    await after(brief, false);
    expect(await runs(forever)).toBe(true);
    silentMs = 0;
    await after(brief, true);
    expect((await node.until('brief', ready)).metadata.uid).toBe(brief.metadata.uid);
  });

  test('survives a restart of the kubelet untouched', async () => {
    kubelet = await node.start();
    await node.create('stay');
    await node.create('leave');
    const stay = await node.until('stay', ready);
    await node.until('leave', ready);
    await node.stop();
    await node.client.delete(podKind, key('leave'), { gracePeriodSeconds: 0 });
    kubelet = await node.start();
    await eventually(
      () => node.runtime.observe(),
      ({ sandboxes }) => sandboxes.length === 1,
    );
    const again = await node.client.get(podKind, key('stay'));
    expect(again.status!.containerStatuses![0]).toEqual(stay.status!.containerStatuses![0]!);
    expect(again.status!.podIP).toBe(stay.status!.podIP);
    expect(kubelet.access.findContainer('default', 'stay', 'c').type).toBe('found');
  });

  test('gets a new sandbox when its own dies', async () => {
    kubelet = await node.start();
    await node.create('box');
    const { metadata } = await node.until('box', ready);
    node.runtime.crashSandbox(metadata.uid!);
    const pod = await node.until(
      'box',
      (each) => ready(each) && each.status!.containerStatuses![0]!.restartCount === 1,
    );
    expect(pod.status!.phase).toBe('Running');
  });
});
