import type { Deployment, ReplicaSet } from '../kinds.ts';
import {
  availableOf,
  bounds,
  byAge,
  byRevision,
  countIn,
  existingOf,
  isMarked,
  type Sets,
  sizeOf,
  sizesOf,
} from './replica-sets.ts';

/** One change of a replica set's size. */
export interface Resize {
  readonly set: Readonly<ReplicaSet>;
  readonly replicas: number;
}

/** How large the new set may be now: what the surge leaves room for, never more than wanted. Pure. */
export function newSetSize(
  deployment: Readonly<Deployment>,
  all: Sets,
  newSet: Readonly<ReplicaSet> | undefined,
): number {
  const wanted = deployment.spec?.replicas ?? 1;
  if (deployment.spec?.strategy?.type === 'Recreate' || sizeOf(newSet) > wanted) return wanted;
  const room = wanted + bounds(deployment).maxSurge - sizesOf(all);
  const have = sizeOf(newSet);
  return room <= 0 ? have : have + Math.min(room, Math.max(0, wanted - have));
}

/**
 * Which old sets shrink in a rolling update: first pods that are not available anyway, then as many as may be missing. Pure.
 */
export function shrinkOld(deployment: Readonly<Deployment>, newSet: Readonly<ReplicaSet>, old: Sets): Resize[] {
  const total = sizesOf(old) + sizeOf(newSet);
  if (sizesOf(old) === 0) return [];
  const minAvailable = (deployment.spec?.replicas ?? 1) - bounds(deployment).maxUnavailable;
  const newUnavailable = sizeOf(newSet) - (newSet.status?.availableReplicas ?? 0);
  const most = total - minAvailable - newUnavailable;
  if (most <= 0) return [];
  const sizes = new Map(old.map((set) => [set, sizeOf(set)]));
  let cleaned = 0;
  for (const set of [...old].sort(byAge)) {
    const unhealthy = sizeOf(set) - (set.status?.availableReplicas ?? 0);
    const gone = Math.min(most - cleaned, Math.max(0, unhealthy));
    sizes.set(set, sizeOf(set) - gone);
    cleaned += gone;
  }
  let spare = availableOf([...old, newSet]) - minAvailable;
  for (const set of [...old].sort(byAge)) {
    const gone = Math.min(sizes.get(set)!, Math.max(0, spare));
    sizes.set(set, sizes.get(set)! - gone);
    spare -= gone;
  }
  return [...sizes].filter(([set, replicas]) => replicas !== sizeOf(set)).map(([set, replicas]) => ({ set, replicas }));
}

/** The size was changed since the sets were last told: their annotation of what is desired is another. */
export const isScaling = (deployment: Readonly<Deployment>, all: Sets): boolean =>
  all.some((set) => {
    const desired = countIn(set, 'desired');
    return sizeOf(set) > 0 && desired !== undefined && desired !== (deployment.spec?.replicas ?? 1);
  });

/**
 * A new size in the middle of a rollout (or while paused) is shared in proportion to the sets, the largest first when it
 * grows and the smallest when it shrinks; the surge stays. A set whose size stays is named too when what is noted on it is
 * of the former size: it would look like a change of size for ever. Pure.
 */
export function shareOut(
  deployment: Readonly<Deployment>,
  newSet: Readonly<ReplicaSet> | undefined,
  all: Sets,
): Resize[] {
  const wanted = deployment.spec?.replicas ?? 1;
  const active = all.filter((set) => sizeOf(set) > 0);
  if (active.length <= 1) {
    const only = active[0] ?? newSet ?? [...all].sort(byAge).at(-1);
    return only ? changed(deployment, [[only, wanted]]) : [];
  }
  // All pods of the new template are there: what is left of the old goes.
  if (newSet && isSaturated(newSet, wanted))
    return all.filter((set) => set !== newSet && sizeOf(set) > 0).map((set) => ({ set, replicas: 0 }));
  if (deployment.spec?.strategy?.type === 'Recreate') return [];
  const total = sizesOf(active);
  const allowed = wanted > 0 ? wanted + bounds(deployment).maxSurge : 0;
  const change = allowed - total;
  const sorted = [...active].sort((a, b) =>
    change >= 0 ? sizeOf(b) - sizeOf(a) || byAge(b, a) : sizeOf(b) - sizeOf(a) || byAge(a, b),
  );
  const sizes = new Map(sorted.map((set) => [set, sizeOf(set)]));
  let left = change;
  for (const set of sorted) {
    if (left === 0) break;
    const share = proportion(deployment, set, left, change);
    sizes.set(set, Math.max(0, sizeOf(set) + share));
    left -= share;
  }
  if (left !== 0) sizes.set(sorted[0]!, Math.max(0, sizes.get(sorted[0]!)! + left));
  return changed(deployment, sizes);
}
const changed = (deployment: Readonly<Deployment>, sizes: Iterable<[Readonly<ReplicaSet>, number]>): Resize[] =>
  [...sizes]
    .filter(([set, replicas]) => replicas !== sizeOf(set) || !isMarked(deployment, set))
    .map(([set, replicas]) => ({ set, replicas }));
const isSaturated = (set: Readonly<ReplicaSet>, wanted: number): boolean =>
  sizeOf(set) === wanted && countIn(set, 'desired') === wanted && (set.status?.availableReplicas ?? 0) === wanted;

/** Of a set that has pods: its part of what is added (or taken, below zero), at most what is left of that. */
function proportion(deployment: Readonly<Deployment>, set: Readonly<ReplicaSet>, left: number, change: number): number {
  const share = shareOf(deployment, set);
  return change > 0 ? Math.min(share, left) : Math.max(share, left);
}
function shareOf(deployment: Readonly<Deployment>, set: Readonly<ReplicaSet>): number {
  const wanted = deployment.spec?.replicas ?? 1;
  if (wanted === 0) return -sizeOf(set);
  const before = countIn(set, 'max') || deployment.status?.replicas || 0; // tampered with: what there is
  if (before === 0) return 0;
  return Math.round((sizeOf(set) * (wanted + bounds(deployment).maxSurge)) / before) - sizeOf(set);
}

/** Old sets without pods beyond the history that is kept, the oldest revisions first. Pure. */
export function forgetOld(deployment: Readonly<Deployment>, old: Sets): Readonly<ReplicaSet>[] {
  const limit = deployment.spec?.revisionHistoryLimit ?? 10;
  const alive = old.filter((set) => !set.metadata.deletionTimestamp);
  const surplus = alive.length - limit;
  if (surplus <= 0) return [];
  return alive
    .sort(byRevision)
    .slice(0, surplus)
    .filter(
      (set) =>
        sizeOf(set) === 0 &&
        existingOf([set]) === 0 &&
        (set.metadata.generation ?? 0) <= (set.status?.observedGeneration ?? 0),
    );
}
