import { expect, test } from 'bun:test';
import type { Deployment, ReplicaSet } from '../kinds.ts';
import { sameTemplate, templateHash } from '../template.ts';
import { forgetOld, isScaling, newSetSize, shareOut, shrinkOld } from './plan.ts';
import { annotations, bounds } from './replica-sets.ts';

const deployment = (replicas: number, maxSurge: number | string = '25%', maxUnavailable: number | string = '25%') =>
  ({
    metadata: { name: 'd' },
    spec: { replicas, strategy: { rollingUpdate: { maxSurge, maxUnavailable } } },
  }) as Deployment;
let age = 0;
const set = (name: string, replicas: number, available = replicas, more: Record<string, string> = {}) =>
  ({
    metadata: {
      name,
      creationTimestamp: new Date(1e12 + 1000 * age++).toISOString(),
      annotations: more,
      generation: 1,
    },
    spec: { replicas },
    status: { replicas, availableReplicas: available, observedGeneration: 1 },
  }) as ReplicaSet;
const sizes = (resizes: readonly { set: Readonly<ReplicaSet>; replicas: number }[]) =>
  Object.fromEntries(resizes.map((one) => [one.set.metadata.name, one.replicas]));

test.each([
  [10, '25%', '25%', { maxSurge: 3, maxUnavailable: 2 }],
  [1, '25%', '25%', { maxSurge: 1, maxUnavailable: 0 }],
  [4, 0, 0, { maxSurge: 0, maxUnavailable: 1 }],
  [2, 1, 5, { maxSurge: 1, maxUnavailable: 2 }],
])('%p replicas with surge %p and unavailable %p', (replicas, surge, unavailable, expected) => {
  expect(bounds(deployment(replicas, surge, unavailable))).toEqual(expected);
});

test.each([
  [10, 1, 0, 10, 1], // room of one pod
  [10, 2, 5, 7, 5], // the surge is used up
  [10, 0, 0, 10, 0], // no surge: old ones go first
  [10, 5, 3, 3, 10],
])('%p wanted, surge %p: new %p and old %p become new %p', (wanted, surge, have, old, expected) => {
  const newSet = set('new', have);
  expect(newSetSize(deployment(wanted, surge, 1), [newSet, set('old', old)], newSet)).toBe(expected);
});

test('old sets shrink by what may be missing, and what is broken goes first', () => {
  expect(sizes(shrinkOld(deployment(10, 0, 2), set('new', 0), [set('old', 10)]))).toEqual({ old: 8 });
  expect(sizes(shrinkOld(deployment(10, 0, 2), set('new', 2, 1), [set('old', 8)]))).toEqual({ old: 7 });
  expect(sizes(shrinkOld(deployment(10, 2, 0), set('new', 2, 0), [set('old', 10)]))).toEqual({});
  expect(sizes(shrinkOld(deployment(10, 2, 2), set('new', 4, 4), [set('bad', 3, 0), set('old', 5)]))).toEqual({
    bad: 0,
    old: 4,
  });
});

test('a new size in mid-rollout is shared in proportion', () => {
  const marks = { [annotations.desired]: '10', [annotations.max]: '10' };
  const [a, b] = [set('a', 6, 6, marks), set('b', 4, 4, marks)];
  expect(isScaling(deployment(20, 0, 1), [a, b])).toBe(true);
  expect(sizes(shareOut(deployment(20, 0, 1), b, [a, b]))).toEqual({ a: 12, b: 8 });
  expect(sizes(shareOut(deployment(5, 0, 1), b, [a, b]))).toEqual({ a: 3, b: 2 });
  expect(sizes(shareOut(deployment(0), b, [a, b]))).toEqual({ a: 0, b: 0 });
  expect(sizes(shareOut(deployment(7), b, [b]))).toEqual({ b: 7 });
});

test('the oldest revisions without pods are forgotten', () => {
  const old = [3, 1, 2].map((revision) => set(`r${revision}`, 0, 0, { [annotations.revision]: String(revision) }));
  const limited = { ...deployment(1), spec: { ...deployment(1).spec, revisionHistoryLimit: 1 } } as Deployment;
  expect(forgetOld(limited, [...old, set('live', 1)]).map(({ metadata }) => metadata.name)).toEqual(
    ['r1', 'r2', 'r3'].slice(0, 2),
  );
});

test('templates are the same whatever the hash label and the order say', () => {
  const spec = { containers: [{ name: 'c', image: 'i' }] };
  const a = { metadata: { labels: { app: 'x', 'pod-template-hash': 'h' } }, spec };
  const b = { spec: { ...spec, nodeSelector: {} }, metadata: { labels: { app: 'x' } } };
  expect(sameTemplate(a, b)).toBe(true);
  expect(templateHash(a, 0)).toBe(templateHash(b, undefined));
  expect(templateHash(a, 1)).not.toBe(templateHash(a, 0));
  expect(templateHash(a, 0)).toMatch(/^[a-z0-9]{10}$/);
  expect(sameTemplate(a, { ...b, spec: { containers: [{ name: 'c', image: 'j' }] } })).toBe(false);
});
