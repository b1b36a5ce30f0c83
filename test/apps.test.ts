// Deployments and replica sets on the real API server, without kubelets: what pods do is played by the test.
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { type Pod, podKind, serviceAccountKind } from '#api';
import { Scope, systemClock } from '#base';
import type { Client } from '#client';
import { type Deployment, deploymentKind, type ReplicaSet, replicaSetKind } from '../plugins/apps/kinds.ts';
import { templateHash } from '../plugins/apps/template.ts';
import { startAppsServer } from './fixtures/apps-server.ts';

const namespace = 'default';
const key = { namespace, name: 'web' };
let client: Client;
let scope: Scope;
beforeEach(async () => {
  scope = new Scope();
  ({ client } = await startAppsServer(scope));
});
afterEach(() => scope[Symbol.asyncDispose]());

const account = () =>
  client.create(serviceAccountKind, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace },
  });
async function eventually<R>(read: () => Promise<R>, wanted: (value: R) => boolean): Promise<R> {
  for (const endMs = systemClock.monotonicMs() + 20_000; systemClock.monotonicMs() < endMs; ) {
    const value = await read();
    if (wanted(value)) return value;
    await systemClock.sleep(5);
  }
  throw new Error(`not reached: ${JSON.stringify(await read(), null, 1)}`);
}
const web = (spec: object = {}): Deployment =>
  ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: key,
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'demo:1' }] } },
      ...spec,
    },
  }) as Deployment;
const deployment = () => client.get(deploymentKind, key);
const sets = async () => (await client.list(replicaSetKind, { namespace })).items as ReplicaSet[];
const pods = async () => (await client.list(podKind, { namespace })).items as Pod[];
const imageOf = ({ spec }: ReplicaSet) => spec?.template?.spec?.containers[0]?.image;
const sizes = async () => Object.fromEntries((await sets()).map((set) => [imageOf(set), set.spec?.replicas]));
const change = (spec: object) => client.patch(deploymentKind, key, { type: 'merge', body: { spec } });
const setImage = (image: string) => change({ template: { spec: { containers: [{ name: 'c', image }] } } });
const reasonOf = ({ status }: Deployment, type: string) => status?.conditions?.find((one) => one.type === type)?.reason;
const revision = ({ metadata }: Deployment | ReplicaSet) => metadata.annotations?.['deployment.kubernetes.io/revision'];
const isRolledOut = ({ spec, status, metadata }: Deployment) =>
  status?.observedGeneration === metadata.generation &&
  [status?.replicas, status?.updatedReplicas, status?.availableReplicas].every((one) => (one ?? 0) === spec?.replicas);

/** Pods of these images become ready; of others they do not. */
async function play(...images: string[]): Promise<void> {
  for (const pod of await pods()) {
    const isReady = pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    if (isReady || !images.includes(pod.spec!.containers[0]!.image!)) continue;
    const now = new Date(systemClock.now()).toISOString();
    const body = {
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: now }] },
    };
    const name = { namespace, name: pod.metadata.name! };
    await client.patch(podKind, name, { type: 'merge', body }, { subresource: 'status' }).catch(() => {}); // it went
  }
}
const playing =
  <R>(read: () => Promise<R>, ...images: string[]) =>
  async () => {
    await play(...images);
    return read();
  };
const rolledOut = (...images: string[]) => eventually(playing(deployment, ...images), isRolledOut);

test('revisions: each template has one, an old template gets the next, the history keeps so many', async () => {
  await account();
  await client.create(deploymentKind, web({ revisionHistoryLimit: 1 }));
  await rolledOut('demo:1');
  await setImage('demo:2');
  expect(revision(await rolledOut('demo:1', 'demo:2'))).toBe('2');
  await setImage('demo:1'); // what `kubectl rollout undo` does
  expect(revision(await rolledOut('demo:1', 'demo:2'))).toBe('3');
  const back = (await sets()).find((set) => imageOf(set) === 'demo:1')!;
  expect(revision(back)).toBe('3');
  expect(back.metadata.annotations).toMatchObject({ 'deployment.kubernetes.io/revision-history': '1' });
  await setImage('demo:3');
  await rolledOut('demo:1', 'demo:2', 'demo:3');
  const left = await eventually(sets, (list) => list.length === 2);
  expect(left.map(imageOf).sort()).toEqual(['demo:1', 'demo:3']); // revision 2 was the oldest
});

test('a stranger has the name of the new set: counted as a collision, another name is taken', async () => {
  await account();
  await client.create(deploymentKind, web({ paused: true }));
  const hash = templateHash((await deployment()).spec!.template, undefined);
  await client.create(replicaSetKind, {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: `web-${hash}`, namespace },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: 'other' } },
      template: {
        metadata: { labels: { app: 'other' } },
        spec: { containers: [{ name: 'c', image: 'other:1' }] },
      },
    },
  } as ReplicaSet);
  await change({ paused: false });
  expect((await rolledOut('demo:1')).status?.collisionCount).toBe(1);
  const own = (await sets()).find((set) => imageOf(set) === 'demo:1')!;
  expect(own.metadata.name).not.toBe(`web-${hash}`);
  expect(own.spec?.selector.matchLabels).toMatchObject({ app: 'web', 'pod-template-hash': expect.any(String) });
});

test('a set that matches is adopted, one that matches no more is released and its place taken', async () => {
  await account();
  const { template } = web().spec!;
  const orphan = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'left-behind', namespace, labels: { app: 'web' } },
    spec: { replicas: 2, selector: { matchLabels: { app: 'web' } }, template },
  } as ReplicaSet;
  await client.create(replicaSetKind, orphan);
  const before = await eventually(pods, (list) => list.length === 2);
  const { metadata } = await client.create(deploymentKind, web());
  await rolledOut('demo:1');
  const adopted = await sets();
  expect(adopted).toHaveLength(1);
  expect(adopted[0]!.metadata.ownerReferences).toMatchObject([{ uid: metadata.uid, controller: true, name: 'web' }]);
  expect((await pods()).map((pod) => pod.metadata.uid).sort()).toEqual(before.map((pod) => pod.metadata.uid).sort());
  await client.patch(
    replicaSetKind,
    { namespace, name: 'left-behind' },
    { type: 'merge', body: { metadata: { labels: { app: 'free' } } } },
  );
  const after = await eventually(playing(sets, 'demo:1'), (list) => list.length === 2);
  const released = after.find((set) => set.metadata.name === 'left-behind')!;
  expect(released.metadata.ownerReferences ?? []).toEqual([]);
  expect(after.find((set) => set !== released)?.metadata.ownerReferences).toMatchObject([{ uid: metadata.uid }]);
});

test('pods of a replica set: a stranger that matches is adopted, one relabelled is released and replaced', async () => {
  await account();
  await client.create(deploymentKind, web());
  await rolledOut('demo:1');
  const [first] = await pods();
  const name = { namespace, name: first!.metadata.name! };
  await client.patch(podKind, name, { type: 'merge', body: { metadata: { labels: { app: 'debug' } } } });
  const three = await eventually(pods, (list) => list.length === 3);
  const released = three.find((pod) => pod.metadata.name === name.name)!;
  expect(released.metadata.ownerReferences ?? []).toEqual([]);
  await client.patch(podKind, name, { type: 'merge', body: { metadata: { labels: { app: 'web' } } } });
  await eventually(pods, (list) => list.length === 2); // adopted again: one too many goes
});

test('no progress within the deadline is told, and forgotten when it moves', async () => {
  await account();
  await client.create(deploymentKind, web({ progressDeadlineSeconds: 1 }));
  const late = await eventually(deployment, (one) => reasonOf(one, 'Progressing') === 'ProgressDeadlineExceeded');
  const condition = late.status?.conditions?.find(({ type }) => type === 'Progressing');
  expect(condition?.status).toBe('False');
  expect(condition?.message).toBe(`ReplicaSet "${(await sets())[0]!.metadata.name}" has timed out progressing.`);
  expect(reasonOf(await rolledOut('demo:1'), 'Progressing')).toBe('NewReplicaSetAvailable');
});

test('a size in mid-rollout is shared, and the rollout goes on to its end', async () => {
  await account();
  const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
  await client.create(deploymentKind, web({ replicas: 10, strategy }));
  await rolledOut('demo:1');
  await setImage('demo:2'); // its pods do not become ready
  await eventually(playing(sizes, 'demo:1'), (now) => now['demo:2'] === 1 && now['demo:1'] === 10);
  await change({ replicas: 11 });
  await eventually(playing(sizes, 'demo:1'), (now) => now['demo:1'] === 11 && now['demo:2'] === 1);
  await change({ replicas: 20 });
  const shared = await eventually(playing(sizes, 'demo:1'), (now) => now['demo:1']! + now['demo:2']! === 21);
  expect(shared).toEqual({ 'demo:1': 19, 'demo:2': 2 });
  await rolledOut('demo:1', 'demo:2');
  expect(await sizes()).toEqual({ 'demo:1': 0, 'demo:2': 20 });
});

test('paused: a new template waits, the size does not, and the condition says so until it is resumed', async () => {
  await account();
  await client.create(deploymentKind, web());
  await rolledOut('demo:1');
  await change({ paused: true });
  await setImage('demo:2');
  await change({ replicas: 4 });
  const paused = await eventually(playing(deployment, 'demo:1'), ({ status }) => status?.availableReplicas === 4);
  expect(reasonOf(paused, 'Progressing')).toBe('DeploymentPaused');
  expect(await sizes()).toEqual({ 'demo:1': 4 });
  await change({ paused: false });
  expect(reasonOf(await rolledOut('demo:1', 'demo:2'), 'Progressing')).toBe('NewReplicaSetAvailable');
  expect(await sizes()).toEqual({ 'demo:1': 0, 'demo:2': 4 });
});

test('rollover: a third template in the middle of a rollout takes over from both', async () => {
  await account();
  await client.create(deploymentKind, web({ replicas: 4 }));
  await rolledOut('demo:1');
  await setImage('demo:2');
  await eventually(playing(sizes, 'demo:1'), (now) => (now['demo:2'] ?? 0) > 0);
  await setImage('demo:3');
  await rolledOut('demo:1', 'demo:3'); // not one pod of demo:2 ever becomes ready
  expect(await sizes()).toEqual({ 'demo:1': 0, 'demo:2': 0, 'demo:3': 4 });
});

test('pods that cannot be made: ReplicaFailure with the reason, gone when they can', async () => {
  await client.create(deploymentKind, web()); // there is no ServiceAccount
  const failing = await eventually(deployment, (one) => reasonOf(one, 'ReplicaFailure') !== undefined);
  expect(failing.status?.conditions?.find(({ type }) => type === 'ReplicaFailure')).toMatchObject({
    status: 'True',
    reason: 'FailedCreate',
    message: expect.stringContaining('serviceaccount "default" not found'),
  });
  await account();
  expect(reasonOf(await rolledOut('demo:1'), 'ReplicaFailure')).toBeUndefined();
});

test('a set that somebody resizes by hand is brought back; pods on their way out are counted', async () => {
  await account();
  await client.create(deploymentKind, web());
  const { status } = await rolledOut('demo:1');
  expect(status?.terminatingReplicas).toBe(0);
  const name = { namespace, name: (await sets())[0]!.metadata.name! };
  const [first] = await pods();
  await client.patch(
    podKind,
    { namespace, name: first!.metadata.name! },
    { type: 'merge', body: { metadata: { finalizers: ['example.com/held'] } } },
  );
  const { metadata } = await client.patch(replicaSetKind, name, { type: 'merge', body: { spec: { replicas: 5 } } });
  await eventually(
    () => client.get(replicaSetKind, name),
    (set) => set.metadata.generation! > metadata.generation! && set.spec?.replicas === 2,
  );
  await client.delete(podKind, { namespace, name: first!.metadata.name! });
  await eventually(playing(deployment, 'demo:1'), (one) => one.status?.terminatingReplicas === 1 && isRolledOut(one));
  await client.patch(
    podKind,
    { namespace, name: first!.metadata.name! },
    { type: 'merge', body: { metadata: { finalizers: null } } },
  );
  await eventually(deployment, (one) => one.status?.terminatingReplicas === 0);
});
