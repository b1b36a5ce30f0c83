import { expect, test } from 'bun:test';
import type { DeploymentCondition } from '../gen/types.ts';
import type { Deployment, ReplicaSet } from '../kinds.ts';
import { conditionOf, countsOf, progressOf } from './status.ts';

const nowMs = Date.parse('2030-01-01T00:10:00Z');
const at = (secondsAgo: number) => new Date(nowMs - secondsAgo * 1000).toISOString().replace('.000', '');
const progressing = (reason: string, status = 'True', secondsAgo = 60): DeploymentCondition => ({
  type: 'Progressing',
  status,
  reason,
  message: '',
  lastUpdateTime: at(secondsAgo),
  lastTransitionTime: at(300),
});
const deployment = (spec: object, status: object = {}) =>
  ({
    metadata: { name: 'd', generation: 1 },
    spec: { replicas: 2, progressDeadlineSeconds: 600, ...spec },
    status,
  }) as Deployment;
const set = (counts: object, size = 2, name = 'd-1') =>
  ({
    metadata: { name },
    spec: { replicas: size },
    status: { replicas: 0, observedGeneration: 1, ...counts },
  }) as ReplicaSet;
const full = { replicas: 2, readyReplicas: 2, availableReplicas: 2 };
function told(subject: Deployment, newSet: ReplicaSet | undefined, old: ReplicaSet[] = []) {
  const all = newSet ? [newSet, ...old] : old;
  return progressOf(subject, all, newSet, countsOf(subject, all, newSet, nowMs), nowMs);
}
const reasonOf = (subject: Deployment, newSet: ReplicaSet | undefined, old: ReplicaSet[] = []) => {
  const one = conditionOf(told(subject, newSet, old).status.conditions, 'Progressing');
  return one && `${one.status} ${one.reason}`;
};

test.each([
  ['all pods of the new template are there', {}, full, 'NewReplicaSetCreated', 60, 'True NewReplicaSetAvailable'],
  ['a pod became ready', {}, { replicas: 2, readyReplicas: 1 }, 'NewReplicaSetCreated', 60, 'True ReplicaSetUpdated'],
  ['nothing moves within the deadline', {}, {}, 'ReplicaSetUpdated', 599, 'True ReplicaSetUpdated'],
  ['nothing moves beyond the deadline', {}, {}, 'ReplicaSetUpdated', 601, 'False ProgressDeadlineExceeded'],
  ['resumed, and nothing moves beyond it', {}, {}, 'DeploymentResumed', 601, 'False ProgressDeadlineExceeded'],
  ['was complete long ago', {}, {}, 'NewReplicaSetAvailable', 9000, 'True NewReplicaSetAvailable'],
  ['no deadline', { progressDeadlineSeconds: 2 ** 31 - 1 }, {}, 'ReplicaSetUpdated', 9000, undefined],
])('Progressing: %s', (_what, spec, counts, reason, ago, expected) => {
  expect(reasonOf(deployment(spec, { conditions: [progressing(reason, 'True', ago)] }), set(counts))).toBe(expected);
});

test('too late stays too late until it moves again, and is not asked for again', () => {
  const late = deployment({}, { conditions: [progressing('ProgressDeadlineExceeded', 'False', 601)] });
  expect(reasonOf(late, set({}))).toBe('False ProgressDeadlineExceeded');
  expect(told(late, set({})).againInMs).toBeUndefined();
  expect(reasonOf(late, set({ replicas: 1, readyReplicas: 1 }))).toBe('True ReplicaSetUpdated');
  expect(reasonOf(late, set(full))).toBe('True NewReplicaSetAvailable');
});

test('it looks again when the deadline is over', () => {
  const waiting = deployment({}, { conditions: [progressing('ReplicaSetUpdated', 'True', 200)] });
  expect(told(waiting, set({})).againInMs).toBe(401_000);
  expect(told(deployment({ progressDeadlineSeconds: 2 ** 31 - 1 }), set({})).againInMs).toBeUndefined();
});

test('progress keeps the time of the last transition and renews the time of the update', () => {
  const subject = deployment({}, { conditions: [progressing('ReplicaSetUpdated')] });
  expect(conditionOf(told(subject, set({ readyReplicas: 1 })).status.conditions, 'Progressing')).toMatchObject({
    lastTransitionTime: at(300),
    lastUpdateTime: at(0),
    message: 'ReplicaSet "d-1" is progressing.',
  });
});

test.each([
  [{ maxUnavailable: 0 }, 2, 'True'],
  [{ maxUnavailable: 0 }, 1, 'False'],
  [{ maxUnavailable: 1, maxSurge: 0 }, 1, 'True'],
])('Available with %p and %p of 2 pods is %p', (rollingUpdate, availableReplicas, expected) => {
  const subject = deployment({ strategy: { type: 'RollingUpdate', rollingUpdate } });
  const { conditions } = countsOf(subject, [set({ replicas: 2, availableReplicas })], undefined, nowMs);
  expect(conditionOf(conditions, 'Available')?.status).toBe(expected);
});

test('a failure of a replica set comes up with its own time, the new set’s first, and goes with it', () => {
  const failure = (message: string) => ({
    conditions: [
      { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message, lastTransitionTime: at(9) },
    ],
  });
  const [fresh, old] = [set(failure('new'), 2, 'd-2'), set(failure('old'))];
  const { conditions } = told(deployment({}), fresh, [old]).status;
  expect(conditionOf(conditions, 'ReplicaFailure')).toEqual({
    type: 'ReplicaFailure',
    status: 'True',
    reason: 'FailedCreate',
    message: 'new',
    lastTransitionTime: at(9),
    lastUpdateTime: at(9),
  });
  expect(
    conditionOf(told(deployment({}, { conditions }), set({})).status.conditions, 'ReplicaFailure'),
  ).toBeUndefined();
});

test.each([
  [[{ terminatingReplicas: 2 }, { terminatingReplicas: 1 }], 3],
  [[{ terminatingReplicas: 2 }, {}], undefined], // seen by its controller and not counted: no sum
  [[{ terminatingReplicas: 2 }, { observedGeneration: 0 }], 2], // not seen yet
])('pods on their way out: %p make %p', (counts, expected) => {
  const sets = counts.map((one) => set(one));
  expect(countsOf(deployment({}), sets, undefined, nowMs).terminatingReplicas).toBe(expected);
});
