import { expect, test } from 'bun:test';
import { configMapKind, type KubeObject, type Node, type Pod, podKind } from '#api';
import { world } from '../../core/testing/index.ts';
import { podsPrefix } from '../../core/testing/invariants/workload.ts';
import { isReady } from '../../core/testing/settled.ts';

/** The simulator as a tool for other tests, as a plugin's author uses it. */
const controller = (replicas: number) => ({
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: { name: 'web' },
  spec: {
    replicas,
    selector: { app: 'web' },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: 'demo:1' }] } },
  },
});

test('objects are applied, time passes, the cluster follows', async () => {
  await using w = await world({ seed: 1, nodes: 2 });
  await w.apply(controller(3));
  await w.settle();
  const { items } = await w.client.list(podKind, { namespace: 'default' });
  expect(items.filter(isReady)).toHaveLength(3);
  await w.apply(controller(1));
  await w.until(
    async () => (await w.client.list(podKind, { namespace: 'default' })).items.length,
    (count) => count === 1,
  );
  const before = w.clock.now();
  await w.advance('5m');
  expect(w.clock.now() - before).toBeGreaterThanOrEqual(300_000);
  w.mustBeSound();
});

test('processes die and come back, machines keep what runs', async () => {
  await using w = await world({ seed: 2 });
  await w.apply(controller(2));
  await w.settle();
  const ids = async () => (await w.engine('node-1').observe()).containers.map(({ id }) => id).sort();
  const before = await ids();
  for (const name of ['apiserver', 'controllers', 'scheduler', 'node-1'] as const) {
    w.crash(name);
    expect(w.isUp(name)).toBe(false);
    await w.advance('2s');
    w.restart(name);
    await w.settle();
  }
  expect(await ids()).toEqual(before);
  w.mustBeSound();
});

test('a write that was acknowledged before a crash is there after it', async () => {
  await using w = await world({ seed: 3, events: false });
  const map: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kept', namespace: 'default' } };
  await w.client.create(configMapKind, { ...map, data: { a: '1' } });
  w.restart('apiserver');
  const read = () => w.client.get(configMapKind, { namespace: 'default', name: 'kept' }).catch(() => undefined);
  expect((await w.until(read, (found) => found !== undefined))?.data).toEqual({ a: '1' });
});

test('controllers that were cut off do not call a healthy node silent', async () => {
  await using w = await world({ seed: 4, events: false });
  await w.apply(controller(1));
  await w.settle();
  w.network.cutOff('controllers');
  await w.advance('55s');
  w.network.heal('controllers');
  await w.advance('20s');
  const words = w.history.commits.flatMap(({ key, object }) =>
    key.startsWith('/registry/core/nodes/') ? ((object as unknown as Node).status?.conditions ?? []) : [],
  );
  expect(words.filter(({ status }) => status === 'Unknown')).toEqual([]);
  const pods = [...w.history.live(podsPrefix)].map(({ object }) => object as unknown as Pod);
  expect(pods.map(isReady)).toEqual([true]);
});
