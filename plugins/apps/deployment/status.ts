import { timeText } from '#sdk';
import type { DeploymentCondition } from '../gen/types.ts';
import type { Deployment, ReplicaSet } from '../kinds.ts';
import { availableOf, bounds, existingOf, readyOf, type Sets, sizesOf } from './replica-sets.ts';

type Status = NonNullable<Deployment['status']>;
type Conditions = readonly DeploymentCondition[];
export const conditionOf = (conditions: Conditions | undefined, type: string): DeploymentCondition | undefined =>
  conditions?.find((one) => one.type === type);

/** A deadline of the largest number that there is means none. */
export const hasDeadline = ({ spec }: Readonly<Deployment>): boolean =>
  (spec?.progressDeadlineSeconds ?? 600) !== 2 ** 31 - 1;

/** Keeps the time of the last transition while the status stays, and everything while status and reason stay. */
export function withCondition(
  conditions: Conditions,
  type: string,
  status: 'True' | 'False' | 'Unknown',
  reason: string,
  message: string,
  nowMs: number,
): DeploymentCondition[] {
  const before = conditionOf(conditions, type);
  if (before?.status === status && before.reason === reason) return [...conditions];
  const now = timeText(nowMs);
  const lastTransitionTime = before?.status === status ? before.lastTransitionTime : now;
  return [
    ...conditions.filter((one) => one.type !== type),
    { type, status, lastUpdateTime: now, lastTransitionTime, reason, message },
  ];
}

/** Counts and the condition Available. Pure. */
export function countsOf(
  deployment: Readonly<Deployment>,
  all: Sets,
  newSet: Readonly<ReplicaSet> | undefined,
  nowMs: number,
): Status {
  const available = availableOf(all);
  const total = sizesOf(all);
  const wanted = deployment.spec?.replicas ?? 1;
  const enough = available >= wanted - bounds(deployment).maxUnavailable;
  const conditions = withCondition(
    deployment.status?.conditions ?? [],
    'Available',
    enough ? 'True' : 'False',
    enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    enough ? 'Deployment has minimum availability.' : 'Deployment does not have minimum availability.',
    nowMs,
  );
  return {
    observedGeneration: deployment.metadata.generation,
    replicas: existingOf(all),
    updatedReplicas: newSet ? existingOf([newSet]) : 0,
    readyReplicas: readyOf(all),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, total - available),
    ...terminatingOf(all),
    ...(deployment.status?.collisionCount === undefined ? {} : { collisionCount: deployment.status.collisionCount }),
    conditions,
  };
}

/** A sum that lacks a set which its controller has seen and not counted would be wrong: then none is told. */
function terminatingOf(all: Sets): { terminatingReplicas?: number } {
  const told = all.filter(({ status }) => status?.observedGeneration || status?.terminatingReplicas !== undefined);
  if (told.some(({ status }) => status?.terminatingReplicas === undefined)) return {};
  return { terminatingReplicas: told.reduce((sum, { status }) => sum + (status?.terminatingReplicas ?? 0), 0) };
}

export const isComplete = (deployment: Readonly<Deployment>, status: Status): boolean => {
  const wanted = deployment.spec?.replicas ?? 1;
  return (
    status.updatedReplicas === wanted &&
    status.replicas === wanted &&
    status.availableReplicas === wanted &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
};
const isProgressing = (before: Status, next: Status): boolean => {
  const old = (status: Status) => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (next.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    old(next) < old(before) ||
    (next.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (next.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
};

export interface Progress {
  readonly status: Status;
  /** When the deadline has to be looked at again. */
  readonly againInMs?: number;
}
/** The conditions Progressing and ReplicaFailure of a rollout. Pure. */
export function progressOf(
  deployment: Readonly<Deployment>,
  all: Sets,
  newSet: Readonly<ReplicaSet> | undefined,
  counts: Status,
  nowMs: number,
): Progress {
  const before = deployment.status ?? {};
  const deadline = deployment.spec?.progressDeadlineSeconds ?? 600;
  const former = conditionOf(counts.conditions, 'Progressing');
  const name = newSet ? `ReplicaSet "${newSet.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
  const done = isComplete(deployment, counts);
  const settled = counts.replicas === counts.updatedReplicas && former?.reason === 'NewReplicaSetAvailable';
  let conditions = counts.conditions ?? [];
  if (!hasDeadline(deployment)) conditions = conditions.filter(({ type }) => type !== 'Progressing');
  else if (!settled) {
    if (done)
      conditions = withCondition(
        conditions,
        'Progressing',
        'True',
        'NewReplicaSetAvailable',
        `${name} has successfully progressed.`,
        nowMs,
      );
    else if (isProgressing(before, counts)) {
      const fresh = withCondition(
        conditions.filter(({ type }) => type !== 'Progressing'),
        'Progressing',
        'True',
        'ReplicaSetUpdated',
        `${name} is progressing.`,
        nowMs,
      );
      const made = conditionOf(fresh, 'Progressing')!;
      conditions = fresh.map((one) =>
        one === made && former?.status === 'True' ? { ...one, lastTransitionTime: former.lastTransitionTime } : one,
      );
    } else if (isLate(former, deadline, nowMs))
      conditions = withCondition(
        conditions,
        'Progressing',
        'False',
        'ProgressDeadlineExceeded',
        `${name} has timed out progressing.`,
        nowMs,
      );
  }
  conditions = withFailure(conditions, newSet ? [newSet, ...all] : all);
  const status = { ...counts, conditions };
  const progressing = conditionOf(conditions, 'Progressing');
  const waits = !done && progressing && progressing.reason !== 'ProgressDeadlineExceeded';
  return {
    status,
    againInMs: waits ? Math.max(1000, updatedMs(progressing) + (deadline + 1) * 1000 - nowMs) : undefined,
  };
}
/** The first set that cannot make its pods lends the deployment its condition. */
function withFailure(conditions: Conditions, sets: Sets): DeploymentCondition[] {
  const failure = sets.map((set) => conditionOf(set.status?.conditions as Conditions, 'ReplicaFailure')).find(Boolean);
  const before = conditionOf(conditions, 'ReplicaFailure');
  if (failure && before?.status === failure.status && before?.reason === failure.reason) return [...conditions];
  const others = conditions.filter(({ type }) => type !== 'ReplicaFailure');
  return failure ? [...others, { ...failure, lastUpdateTime: failure.lastTransitionTime }] : others;
}
const updatedMs = (condition: DeploymentCondition): number => Date.parse(condition.lastUpdateTime ?? '') || 0;
const isLate = (condition: DeploymentCondition | undefined, deadlineSeconds: number, nowMs: number): boolean =>
  condition !== undefined &&
  condition.reason !== 'NewReplicaSetAvailable' &&
  (condition.reason === 'ProgressDeadlineExceeded' || updatedMs(condition) + deadlineSeconds * 1000 < nowMs);
