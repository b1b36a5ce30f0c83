import type { Deployment, ReplicaSet } from '../kinds.ts';
import { sameTemplate } from '../template.ts';

export const annotations = {
  revision: 'deployment.kubernetes.io/revision',
  history: 'deployment.kubernetes.io/revision-history',
  desired: 'deployment.kubernetes.io/desired-replicas',
  max: 'deployment.kubernetes.io/max-replicas',
} as const;

export type Sets = readonly Readonly<ReplicaSet>[];
export const sizeOf = (set: Readonly<ReplicaSet> | undefined): number => (set ? (set.spec?.replicas ?? 1) : 0);
export const sizesOf = (sets: Sets): number => sets.reduce((sum, set) => sum + sizeOf(set), 0);
export const availableOf = (sets: Sets): number =>
  sets.reduce((sum, set) => sum + (set.status?.availableReplicas ?? 0), 0);
export const existingOf = (sets: Sets): number => sets.reduce((sum, set) => sum + (set.status?.replicas ?? 0), 0);
export const readyOf = (sets: Sets): number => sets.reduce((sum, set) => sum + (set.status?.readyReplicas ?? 0), 0);
/** 64 bits wide: clients write numbers beyond 2^53. What is no number counts as none. */
export const revisionOf = (set: { metadata: { annotations?: Record<string, string> } }): bigint => {
  const text = set.metadata.annotations?.[annotations.revision] ?? '';
  return /^\d{1,19}$/.test(text) ? BigInt(text) : 0n;
};
export const byRevision = (a: Readonly<ReplicaSet>, b: Readonly<ReplicaSet>): number => {
  const [left, right] = [revisionOf(a), revisionOf(b)];
  return left === right ? byAge(a, b) : left < right ? -1 : 1;
};
/** The number in an annotation about sizes; undefined where it is absent or none. */
export function countIn(set: Readonly<ReplicaSet>, name: 'desired' | 'max'): number | undefined {
  const text = set.metadata.annotations?.[annotations[name]] ?? '';
  return /^\d{1,10}$/.test(text) && Number(text) < 2 ** 31 ? Number(text) : undefined;
}
/** What is noted on a set beside its size: from it the next change of size is told. */
export function marksOf(deployment: Readonly<Deployment>): Record<string, string> {
  const wanted = deployment.spec?.replicas ?? 1;
  return { [annotations.desired]: String(wanted), [annotations.max]: String(wanted + bounds(deployment).maxSurge) };
}
export const isMarked = (deployment: Readonly<Deployment>, set: Readonly<ReplicaSet>): boolean =>
  Object.entries(marksOf(deployment)).every(([name, text]) => set.metadata.annotations?.[name] === text);

const createdMs = (set: Readonly<ReplicaSet>): number => Date.parse(set.metadata.creationTimestamp ?? '') || 0;
/** Oldest first; names decide where two are of one second. */
export const byAge = (a: Readonly<ReplicaSet>, b: Readonly<ReplicaSet>): number =>
  createdMs(a) - createdMs(b) || ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1);

/** Of the template as it is now: the oldest, so that two that were made by accident settle on one. */
export const newSetOf = (deployment: Readonly<Deployment>, sets: Sets): Readonly<ReplicaSet> | undefined =>
  [...sets].sort(byAge).find((set) => sameTemplate(set.spec?.template, deployment.spec?.template));

/** How many pods more than wanted, and how many fewer than wanted, a rolling update may have at once. */
export function bounds(deployment: Readonly<Deployment>): { maxSurge: number; maxUnavailable: number } {
  const replicas = deployment.spec?.replicas ?? 1;
  const { type, rollingUpdate } = deployment.spec?.strategy ?? {};
  if (type === 'Recreate' || replicas === 0) return { maxSurge: 0, maxUnavailable: 0 };
  const surge = scaled(rollingUpdate?.maxSurge ?? '25%', replicas, Math.ceil);
  const unavailable = scaled(rollingUpdate?.maxUnavailable ?? '25%', replicas, Math.floor);
  // Both zero would never move.
  return { maxSurge: surge, maxUnavailable: Math.min(surge === 0 && unavailable === 0 ? 1 : unavailable, replicas) };
}
function scaled(value: number | string, total: number, round: (value: number) => number): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(value)?.[1];
  return percent === undefined ? Number(value) || 0 : round((Number(percent) * total) / 100);
}
