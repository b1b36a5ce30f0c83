import { expect, test } from 'bun:test';
import type { Deployment, ReplicaSet } from '../kinds.ts';
import { sameTemplate, templateHash } from '../template.ts';
import { longerHistory } from './actions.ts';
import { forgetOld, isScaling, newSetSize, shareOut, shrinkOld } from './plan.ts';
import { annotations, bounds, marksOf, revisionOf } from './replica-sets.ts';

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

test('a change of size that leaves a set as it is still notes it: else it would be a change for ever', () => {
  const marks = { [annotations.desired]: '10', [annotations.max]: '11' };
  const [big, small] = [set('big', 10, 10, marks), set('small', 1, 1, marks)];
  const eleven = deployment(11, 1, 0);
  const plan = shareOut(eleven, small, [big, small]);
  expect(sizes(plan)).toEqual({ big: 11, small: 1 });
  const written = plan.map(({ set, replicas }) => ({
    ...set,
    metadata: { ...set.metadata, annotations: marksOf(eleven) },
    spec: { ...set.spec!, replicas },
  }));
  expect(isScaling(eleven, written)).toBe(false);
  expect(shareOut(eleven, written[1], written)).toEqual([]);
});

test.each([
  ['grows', 12, [6, 4], '10', 10, { a: 7, b: 5 }],
  ['grows, the rest goes to the largest', 11, [5, 3, 2], '10', 10, { a: 6, b: 3, c: 2 }],
  ['shrinks', 6, [8, 4], '12', 12, { a: 4, b: 2 }],
  ['goes to nothing', 0, [8, 4], '12', 12, { a: 0, b: 0 }],
  ['a mark that is no number: what the status counts', 20, [6, 4], 'x', 10, { a: 12, b: 8 }],
  ['neither mark nor status: nobody’s share, the largest takes it', 20, [6, 4], 'x', 0, { a: 16, b: 4 }],
])('a shared size %s', (_what, wanted, have, max, counted, expected) => {
  const marks = { [annotations.desired]: '10', [annotations.max]: max };
  const sets = have.map((size, i) => set('abc'[i]!, size, size, marks));
  const changed = { ...deployment(wanted, 0, 1), status: { replicas: counted } } as Deployment;
  expect(sizes(shareOut(changed, sets.at(-1), sets))).toEqual(expected);
});

test('sets of one size: the newer grows first, the older shrinks first', () => {
  const marks = { [annotations.desired]: '4', [annotations.max]: '4' };
  const [older, newer] = [set('older', 2, 2, marks), set('newer', 2, 2, marks)];
  expect(sizes(shareOut(deployment(5, 0, 1), newer, [older, newer]))).toEqual({ newer: 3, older: 2 });
  expect(sizes(shareOut(deployment(3, 0, 1), newer, [older, newer]))).toEqual({ older: 1, newer: 2 });
});

test('a new set that is whole takes over from old ones that came back', () => {
  const marks = { [annotations.desired]: '3', [annotations.max]: '4' };
  const [old, fresh] = [set('old', 2), set('fresh', 3, 3, marks)];
  expect(sizes(shareOut(deployment(3, 1, 0), fresh, [old, fresh]))).toEqual({ old: 0 });
});

test('somebody made the new set larger than wanted: it is brought back', () => {
  const grown = set('new', 9);
  expect(newSetSize(deployment(5, 1, 0), [grown], grown)).toBe(5);
});

test('a size that is noted as no number is no change of size', () => {
  for (const noted of ['', 'ten', '-1', '99999999999'])
    expect(isScaling(deployment(3), [set('a', 3, 3, { [annotations.desired]: noted })])).toBe(false);
  expect(isScaling(deployment(3), [set('a', 0, 0, { [annotations.desired]: '9' })])).toBe(false);
});

test('revisions are 64 bits wide, and what is no number counts as none', () => {
  const revision = (text: string) => revisionOf(set('r', 0, 0, { [annotations.revision]: text }));
  expect(revision('3546343826724305832') + 1n).toBe(3546343826724305833n);
  for (const text of ['', 'x', '-1', '1.5']) expect(revision(text)).toBe(0n);
  const sets = ['9007199254740993', '9007199254740992'].map((text) =>
    set(text, 0, 0, { [annotations.revision]: text }),
  );
  const limited = { ...deployment(1), spec: { ...deployment(1).spec, revisionHistoryLimit: 1 } } as Deployment;
  expect(forgetOld(limited, sets).map(({ metadata }) => metadata.name)).toEqual(['9007199254740992']);
});

test('a history of revisions forgets the oldest when it becomes too long', () => {
  expect(longerHistory(undefined, '1')).toBe('1');
  expect(longerHistory('1,3', '5')).toBe('1,3,5');
  const long = Array.from({ length: 700 }, (_, i) => String(i)).join(',');
  const longer = longerHistory(long, '700');
  expect(longer.length).toBeLessThanOrEqual(2000);
  expect(longer.endsWith(',699,700')).toBe(true);
});

test('history: sets on their way out, with pods, or not yet seen by their controller', () => {
  const limited = { ...deployment(1), spec: { ...deployment(1).spec, revisionHistoryLimit: 0 } } as Deployment;
  const going = set('going', 0);
  going.metadata.deletionTimestamp = new Date(1e12).toISOString();
  const unseen = set('unseen', 0);
  unseen.metadata.generation = 2;
  const names = forgetOld(limited, [going, unseen, set('live', 1), set('empty', 0)]).map(
    ({ metadata }) => metadata.name,
  );
  expect(names).toEqual(['empty']);
  const unlimited = { ...limited, spec: { ...limited.spec!, revisionHistoryLimit: 2 ** 31 - 1 } };
  expect(forgetOld(unlimited, [set('empty', 0)])).toEqual([]);
});
