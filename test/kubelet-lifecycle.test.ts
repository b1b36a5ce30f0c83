import { describe, expect, test } from 'bun:test';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Pod, podKind } from '#api';
import type { HostPort, PodNetwork } from '#net/pod';
import { eventually } from './fixtures/eventually.ts';
import { key, ready, running, useKubeletNode } from './fixtures/kubelet-node.ts';
import { rejection } from './fixtures/rejection.ts';

const node = useKubeletNode();
const first = (pod: Pod) => pod.status?.containerStatuses?.[0];
const waiting = (pod: Pod) => first(pod)?.state?.waiting;
const told = (reason: string, text: string) =>
  eventually(
    () => node.messages(reason),
    (all) => all.includes(text),
  );

describe('lifecycle hooks', () => {
  test('postStart: the container is up when it has passed; preStop runs before the signal', async () => {
    const ran: string[] = [];
    node.useRuntime({
      exec: (command) => {
        ran.push(`${command[0]} of ${node.runtime.calls['stop'] ?? 0} stopped`);
        return { code: 0 };
      },
    });
    await node.start();
    const hook = (name: string) => ({ exec: { command: [name] } });
    await node.create('hooked', {
      containers: [{ name: 'c', image: 'x', lifecycle: { postStart: hook('post'), preStop: hook('pre') } }],
    });
    await node.until('hooked', ready);
    await node.client.delete(podKind, key('hooked'));
    await node.gone('hooked');
    expect(ran).toEqual(['post of 0 stopped', 'pre of 0 stopped']);
  });

  test('postStart that fails: stopped, said, and tried again', async () => {
    let code = 1;
    node.useRuntime({ exec: () => ({ code, stderr: 'no luck' }) });
    await node.start();
    await node.create('unlucky', {
      containers: [{ name: 'c', image: 'x', lifecycle: { postStart: { exec: { command: ['post'] } } } }],
    });
    await node.until('unlucky', (pod) => (first(pod)?.restartCount ?? 0) >= 1 || waiting(pod) !== undefined);
    await told('FailedPostStartHook', 'PostStartHook failed');
    await told('Killing', 'FailedPostStartHook');
    code = 0;
    await node.until('unlucky', (pod) => waiting(pod)?.reason === 'CrashLoopBackOff' || ready(pod));
    node.clock.skip(60_000);
    await node.until('unlucky', ready);
  });

  test('preStop that fails is said, and the container stopped all the same', async () => {
    node.useRuntime({ exec: () => ({ code: 1 }) });
    await node.start();
    const lifecycle = { preStop: { exec: { command: ['pre'] } } };
    await node.create('stubborn', { containers: [{ name: 'c', image: 'x', lifecycle }] });
    await node.until('stubborn', ready);
    await node.client.delete(podKind, key('stubborn'));
    await node.gone('stubborn');
    await told('FailedPreStopHook', 'PreStopHook failed');
  });
});

test('activeDeadlineSeconds ends the pod', async () => {
  await node.start();
  await node.create('late', { activeDeadlineSeconds: 100 });
  await node.until('late', running);
  node.clock.skip(99_000);
  expect((await node.client.get(podKind, key('late'))).status?.phase).toBe('Running');
  node.clock.skip(2_000);
  const pod = await node.until('late', ({ status }) => status?.phase === 'Failed');
  expect(pod.status).toMatchObject({
    reason: 'DeadlineExceeded',
    message: 'Pod was active on the node longer than the specified deadline',
  });
  expect(first(pod)?.state?.terminated).toBeDefined();
  expect((await node.runtime.observe()).containers.map(({ state }) => state)).toEqual(['exited']);
});

test('an init container that fails is tried again with a back-off, and the rest waits', async () => {
  let code = 4;
  node.useRuntime({ script: (spec) => (spec.name === 'init' ? { runsMs: 1, exitCode: code } : undefined) });
  await node.start();
  await node.create('patient', { initContainers: [{ name: 'init', image: 'x' }] });
  const initOf = (pod: Pod) => pod.status?.initContainerStatuses?.[0];
  const pod = await node.until('patient', (each) => initOf(each)?.state?.waiting?.reason === 'CrashLoopBackOff');
  expect(pod.status?.phase).toBe('Pending');
  expect(initOf(pod)?.lastState?.terminated?.exitCode).toBe(4);
  expect(waiting(pod)?.reason).toBe('PodInitializing');
  code = 0;
  node.clock.skip(301_000);
  const done = await node.until('patient', ready);
  expect(initOf(done)?.state?.terminated).toMatchObject({ exitCode: 0, reason: 'Completed' });
  expect(initOf(done)?.restartCount).toBeGreaterThanOrEqual(1);
});

test('an init container that fails for good fails the pod', async () => {
  node.useRuntime({ script: (spec) => (spec.name === 'init' ? { runsMs: 1, exitCode: 4 } : undefined) });
  await node.start();
  await node.create('doomed', { restartPolicy: 'Never', initContainers: [{ name: 'init', image: 'x' }] });
  const pod = await node.until('doomed', ({ status }) => status?.phase === 'Failed');
  expect(pod.status?.initContainerStatuses?.[0]?.state?.terminated?.exitCode).toBe(4);
  expect(first(pod)?.state?.waiting?.reason).toBe('PodInitializing');
});

test('a token is renewed at 80 % of its life, whatever the wall clock says', async () => {
  await node.start();
  const sources = [{ serviceAccountToken: { path: 'token', expirationSeconds: 600 } }];
  await node.create('holder', { volumes: [{ name: 't', projected: { sources } }] });
  const { metadata } = await node.until('holder', ready);
  const read = () => readFile(join(node.folder, 'pods', metadata.uid!, 'volumes', 't', 'token'), 'utf8');
  expect(await read()).toBe('token-1');
  node.clock.skip(470_000);
  expect(await read()).toBe('token-1');
  node.clock.skip(11_000);
  await eventually(read, (text) => text === 'token-2');
  node.clock.skip(481_000);
  await eventually(read, (text) => text === 'token-3');
});

test.skipIf(process.getuid?.() !== 0)('fsGroup owns what volumes hold, and files are no wider than asked', async () => {
  await node.start({ isRoot: true });
  await node.create('group', {
    securityContext: { fsGroup: 1234 },
    volumes: [
      { name: 'e', emptyDir: {} },
      {
        name: 'd',
        downwardAPI: { defaultMode: 0o400, items: [{ path: 'n', fieldRef: { fieldPath: 'metadata.name' } }] },
      },
    ],
  });
  const { metadata } = await node.until('group', ready);
  const volumes = join(node.folder, 'pods', metadata.uid!, 'volumes');
  const empty = await stat(join(volumes, 'e'));
  expect([empty.gid, empty.mode & 0o7777]).toEqual([1234, 0o2777]);
  const file = await stat(join(volumes, 'd', 'n'));
  expect([file.gid, file.mode & 0o777]).toEqual([1234, 0o440]);
});

test.skipIf(process.getuid?.() !== 0)(
  'files belong to whom the volume names, tokens to the one user of the pod',
  async () => {
    await node.start({ isRoot: true });
    const sources = [
      { serviceAccountToken: { path: 'token' } },
      {
        downwardAPI: { items: [{ path: 'n', mode: 0o440, user: 77, fieldRef: { fieldPath: 'metadata.name' } }] },
      },
    ];
    const items = [{ path: 'n', fieldRef: { fieldPath: 'metadata.name' } }];
    await node.create('owned', {
      securityContext: { runAsUser: 4321 },
      volumes: [
        { name: 'p', projected: { sources } },
        { name: 'd', downwardAPI: { defaultUser: 55, items } },
      ],
    });
    const { metadata } = await node.until('owned', ready);
    const of = async (path: string) => {
      const { uid, mode } = await stat(join(node.folder, 'pods', metadata.uid!, 'volumes', path));
      return [uid, mode & 0o777];
    };
    expect(await of('p/token')).toEqual([4321, 0o600]);
    expect(await of('p/n')).toEqual([77, 0o440]);
    expect(await of('d/n')).toEqual([55, 0o644]);
  },
);

test('owners of files are refused where nobody can give files away', async () => {
  await node.start({ isRoot: false });
  const items = [{ path: 'n', user: 7, fieldRef: { fieldPath: 'metadata.name' } }];
  await node.create('refused', { volumes: [{ name: 'd', downwardAPI: { items } }] });
  const pod = await node.until('refused', ({ status }) => status?.reason === 'UnsupportedField');
  expect(pod.status?.message).toContain('spec.volumes[0] (owner of its files)');
});

test('host ports reach the network, and are given back when the pod has ended', async () => {
  const attached = new Map<string, readonly HostPort[]>();
  const podNetwork: PodNetwork = {
    name: 'test',
    prepare: async () => {},
    attach: async ({ uid, hostPorts = [] }) => {
      attached.set(uid, hostPorts);
      return { ips: ['10.9.0.2'] };
    },
    detach: async ({ uid }) => void attached.delete(uid),
    attached: async () => [],
    purge: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  const runtime = node.useRuntime({});
  const withNetns = async (spec: Parameters<typeof runtime.ensureSandbox>[0]) => ({
    ...(await ensure(spec)),
    netnsPath: '/proc/1/ns/net',
  });
  const ensure = runtime.ensureSandbox.bind(runtime);
  runtime.ensureSandbox = withNetns;
  await node.start({ podNetwork });
  const ports = [{ containerPort: 80, hostPort: 8080 }];
  await node.create('open', { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x', ports }] });
  const { metadata } = await node.until('open', running);
  expect(attached.get(metadata.uid!)).toEqual([{ hostPort: 8080, podPort: 80, protocol: 'tcp', hostIp: undefined }]);
  runtime.exit(metadata.uid!, 'c', 0);
  await eventually(
    () => attached.size,
    (count) => count === 0,
  );
});

test('a subPath must stay inside its volume', async () => {
  await node.start();
  const mount = (subPath: string) => ({
    containers: [{ name: 'c', image: 'x', volumeMounts: [{ name: 'e', mountPath: '/e', subPath }] }],
    volumes: [{ name: 'e', hostPath: { path: node.folder } }],
  });
  await Bun.$`ln -s / ${join(node.folder, 'out')}`.quiet();
  await node.create('escape', mount('out/etc'));
  const pod = await node.until('escape', (each) => waiting(each)?.reason === 'CreateContainerConfigError');
  expect(waiting(pod)?.message).toBe('failed to prepare subPath for volumeMount "e" of container "c"');
  await node.create('inside', mount('made/here'));
  await node.until('inside', ready);
  expect((await stat(join(node.folder, 'made', 'here'))).isDirectory()).toBe(true);
});

test('an emptyDir over its limit evicts the pod', async () => {
  await node.start();
  await node.create('greedy', { volumes: [{ name: 'e', emptyDir: { sizeLimit: '8Ki' } }] });
  const { metadata } = await node.until('greedy', ready);
  await Bun.write(join(node.folder, 'pods', metadata.uid!, 'volumes', 'e', 'big'), 'x'.repeat(64 * 1024));
  node.clock.skip(10_000);
  const pod = await node.until('greedy', ({ status }) => status?.phase === 'Failed');
  const message = 'Usage of EmptyDir volume "e" exceeds the limit "8Ki". ';
  expect(pod.status).toMatchObject({ reason: 'Evicted', message });
  await told('Evicted', message);
});

test('an ephemeral container joins a running pod, once and for all', async () => {
  await node.start();
  await node.create('looked-at');
  await node.until('looked-at', ready);
  const add = (ephemeralContainers: object[]) =>
    node.client.patch(
      podKind,
      key('looked-at'),
      { type: 'strategic', body: { metadata: { labels: { sneaky: 'yes' } }, spec: { ephemeralContainers } } },
      { subresource: 'ephemeralcontainers' },
    );
  await add([{ name: 'debug', image: 'tools:1', stdin: true, tty: true }]);
  const pod = await node.until('looked-at', ({ status }) =>
    Boolean(status?.ephemeralContainerStatuses?.[0]?.state?.running),
  );
  expect(pod.metadata.labels).toBeUndefined();
  expect(pod.spec?.ephemeralContainers).toMatchObject([{ name: 'debug', imagePullPolicy: 'IfNotPresent' }]);
  expect(ready(pod)).toBe(true);
  expect((await rejection(add([{ name: 'debug', image: 'tools:2' }]))).message).toMatch('"debug" may not be changed');
  expect((await rejection(add([{ name: 'c', image: 'tools:2' }]))).message).toMatch('Duplicate value: "c"');
  expect((await rejection(add([{ name: 'more', image: 'x', ports: [{ containerPort: 1 }] }]))).message).toMatch(
    'spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container',
  );
});
