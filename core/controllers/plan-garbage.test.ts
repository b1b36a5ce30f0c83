import { describe, expect, test } from 'bun:test';
import type { KubeObject, OwnerReference } from '#api';
import { type OwnerState, planDependent, planOwner, sameTies } from './plan-garbage.ts';

const object = (uid: string, metadata: Partial<KubeObject['metadata']> = {}): KubeObject =>
  Object.freeze({ metadata: Object.freeze({ name: uid, uid, ...metadata }) });
const reference = (uid: string, blockOwnerDeletion = true): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name: uid,
  uid,
  blockOwnerDeletion,
});
const deletionTimestamp = '2026-01-01T00:00:00Z';
const waiting = { deletionTimestamp, finalizers: ['foregroundDeletion'] };

describe('a dependent', () => {
  const leaf: KubeObject[] = [];
  const child = [object('child')];
  const cases: [string, Record<string, OwnerState>, KubeObject[], Partial<KubeObject['metadata']>, unknown][] = [
    ['lives with its owner', { a: 'solid' }, leaf, {}, { type: 'keep' }],
    ['goes after its last owner', { a: 'absent' }, leaf, {}, { type: 'delete', policy: 'Background', unblock: false }],
    [
      'keeps the owner that lives',
      { a: 'absent', b: 'solid' },
      leaf,
      {},
      { type: 'release', ownerReferences: [reference('b')] },
    ],
    [
      'is not blocked by a waiting owner when another lives',
      { a: 'waiting', b: 'solid' },
      child,
      {},
      { type: 'release', ownerReferences: [reference('b')] },
    ],
    [
      'goes when all are gone',
      { a: 'absent', b: 'absent' },
      child,
      {},
      { type: 'delete', policy: 'Background', unblock: false },
    ],
    [
      'without dependents goes in the background of a foreground deletion',
      { a: 'waiting' },
      leaf,
      {},
      { type: 'delete', policy: 'Background', unblock: false },
    ],
    [
      'with dependents hands foreground on',
      { a: 'waiting' },
      child,
      {},
      { type: 'delete', policy: 'Foreground', unblock: false },
    ],
    [
      'in a circle stops blocking',
      { a: 'waiting' },
      [object('child', waiting)],
      {},
      { type: 'delete', policy: 'Foreground', unblock: true },
    ],
    [
      'keeps its own wish to orphan',
      { a: 'absent' },
      leaf,
      { finalizers: ['orphan'] },
      { type: 'delete', policy: 'Orphan', unblock: false },
    ],
    [
      'keeps its own wish for foreground',
      { a: 'absent' },
      leaf,
      { finalizers: ['foregroundDeletion'] },
      { type: 'delete', policy: 'Foreground', unblock: false },
    ],
    ['that is going already is left alone', { a: 'absent' }, leaf, { deletionTimestamp }, { type: 'keep' }],
    ["without owners is nobody's garbage", {}, leaf, {}, { type: 'keep' }],
  ];
  test.each(cases)('%s', (_name, states, dependents, metadata, wanted) => {
    const ownerReferences = Object.keys(states).map((uid) => reference(uid));
    const plan = planDependent(
      object('x', { ownerReferences, ...metadata }),
      new Map(Object.entries(states)),
      dependents,
    );
    expect(plan as unknown).toEqual(wanted);
  });
});

describe('an owner under deletion', () => {
  const blocking = object('blocking', { ownerReferences: [reference('o')] });
  const loose = object('loose', { ownerReferences: [reference('o', false)] });
  const going = object('going', { ownerReferences: [reference('o')], deletionTimestamp });
  const orphaning = { deletionTimestamp, finalizers: ['orphan'] };
  const cases: [string, Partial<KubeObject['metadata']>, KubeObject[], unknown][] = [
    ['is not touched while it lives', { finalizers: ['orphan'] }, [blocking], undefined],
    [
      'is not touched for a foreign finalizer',
      { deletionTimestamp, finalizers: ['example.com/x'] },
      [blocking],
      undefined,
    ],
    ['gives its dependents up', orphaning, [blocking, loose], { type: 'orphan', dependents: [blocking, loose] }],
    ['is let go when all are given up', orphaning, [], { type: 'finish', finalizer: 'orphan' }],
    [
      'waits for blocking dependents',
      waiting,
      [blocking, loose, going],
      { type: 'await', dependents: [blocking, loose] },
    ],
    ['waits for one that is going', waiting, [going], { type: 'await', dependents: [] }],
    [
      'does not wait for those that do not block',
      waiting,
      [loose],
      { type: 'finish', finalizer: 'foregroundDeletion' },
    ],
    ['is let go when nothing is left', waiting, [], { type: 'finish', finalizer: 'foregroundDeletion' }],
  ];
  test.each(cases)('%s', (_name, metadata, dependents, wanted) => {
    expect(planOwner(object('o', metadata), dependents) as unknown).toEqual(wanted);
  });
});

test('a change of status is no change of ties', () => {
  const before = object('x', { ownerReferences: [reference('a')], resourceVersion: '1' });
  expect(sameTies(before, { ...before, metadata: { ...before.metadata, resourceVersion: '2' } })).toBe(true);
  expect(sameTies(before, { ...before, metadata: { ...before.metadata, deletionTimestamp } })).toBe(false);
  expect(sameTies(before, { ...before, metadata: { ...before.metadata, uid: 'y' } })).toBe(false);
});
