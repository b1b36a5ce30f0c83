import { type KubeObject, matchesSet, type Pod, type PodTemplateSpec } from '#api';
import { timeText } from '#base';
import { isActive, isReady, readySinceMs } from './pods.ts';

/** What keeps a number of pods of one template: a replication controller, a replica set. */
export interface Replicated extends KubeObject {
  spec?: { replicas?: number; minReadySeconds?: number; template?: PodTemplateSpec };
  status?: ReplicasStatus;
}
interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}
export interface ReplicasStatus {
  replicas: number;
  fullyLabeledReplicas?: number;
  readyReplicas?: number;
  availableReplicas?: number;
  terminatingReplicas?: number;
  observedGeneration?: number;
  conditions?: Condition[];
}
/** Whether the owner's selector takes a pod with these labels. */
export type Selects = (labels: Readonly<Record<string, string>> | undefined) => boolean;

export const burstReplicas = 500; // what one pass creates or deletes at most, as upstream

export interface Claims {
  readonly owned: readonly Readonly<Pod>[];
  readonly adopt: readonly Readonly<Pod>[];
  readonly release: readonly Readonly<Pod>[];
}
/** Whose pods are these? Matching pods without a controller are adopted, own ones that no longer match are released. */
export function planClaims(rc: Readonly<Replicated>, selects: Selects, pods: readonly Readonly<Pod>[]): Claims {
  const owned: Readonly<Pod>[] = [];
  const adopt: Readonly<Pod>[] = [];
  const release: Readonly<Pod>[] = [];
  for (const pod of pods) {
    const controller = pod.metadata.ownerReferences?.find((owner) => owner.controller);
    const matches = selects(pod.metadata.labels);
    if (controller?.uid === rc.metadata.uid) {
      if (matches) owned.push(pod);
      else if (!rc.metadata.deletionTimestamp) release.push(pod);
    } else if (!controller && matches && isActive(pod) && !rc.metadata.deletionTimestamp) adopt.push(pod);
  }
  return { owned, adopt, release };
}

export interface ReplicaPlan {
  readonly create: number;
  readonly remove: readonly Readonly<Pod>[];
}
export function planReplicas(rc: Readonly<Replicated>, owned: readonly Readonly<Pod>[]): ReplicaPlan {
  const active = owned.filter(isActive);
  const wanted = rc.spec?.replicas ?? 1;
  if (active.length < wanted) return { create: Math.min(wanted - active.length, burstReplicas), remove: [] };
  const surplus = Math.min(active.length - wanted, burstReplicas);
  return { create: 0, remove: rankForDeletion(active).slice(0, surplus) };
}

const phaseRank: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };
const deletionCost = (pod: Readonly<Pod>): number =>
  Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0) || 0;
const restarts = (pod: Readonly<Pod>): number =>
  Math.max(0, ...(pod.status?.containerStatuses ?? []).map((status) => status.restartCount));

/** The first is the least loss: unscheduled, pending, not ready, cheap, crowded, young in readiness, restarted, young. */
export function rankForDeletion(pods: readonly Readonly<Pod>[]): Readonly<Pod>[] {
  const readyOn = new Map<string, number>();
  for (const pod of pods)
    if (isReady(pod)) readyOn.set(pod.spec?.nodeName ?? '', (readyOn.get(pod.spec?.nodeName ?? '') ?? 0) + 1);
  const crowd = (pod: Readonly<Pod>) => readyOn.get(pod.spec?.nodeName ?? '') ?? 0;
  const createdMs = (pod: Readonly<Pod>) => Date.parse(pod.metadata.creationTimestamp ?? '') || Infinity;
  const compare = (left: Readonly<Pod>, right: Readonly<Pod>): number =>
    Number(!!left.spec?.nodeName) - Number(!!right.spec?.nodeName) ||
    (phaseRank[left.status?.phase ?? ''] ?? 0) - (phaseRank[right.status?.phase ?? ''] ?? 0) ||
    Number(isReady(left)) - Number(isReady(right)) ||
    deletionCost(left) - deletionCost(right) ||
    crowd(right) - crowd(left) ||
    (readySinceMs(right) ?? 0) - (readySinceMs(left) ?? 0) ||
    restarts(right) - restarts(left) ||
    (createdMs(right) === createdMs(left) ? 0 : createdMs(right) - createdMs(left)) ||
    ((left.metadata.uid ?? '') < (right.metadata.uid ?? '') ? -1 : 1);
  return [...pods].sort(compare);
}

export interface StatusPlan {
  readonly status: ReplicasStatus;
  /** When a ready pod will count as available (minReadySeconds). */
  readonly againInMs?: number;
}
export function planStatus(
  rc: Readonly<Replicated>,
  owned: readonly Readonly<Pod>[],
  failure: { reason: 'FailedCreate' | 'FailedDelete'; message: string } | undefined,
  nowMs: number,
  /** The kind's status tells pods on their way out as well. */
  tellsTerminating = false,
): StatusPlan {
  const active = owned.filter(isActive);
  const minReadyMs = (rc.spec?.minReadySeconds ?? 0) * 1000;
  const template = rc.spec?.template?.metadata?.labels;
  let availableReplicas = 0;
  let againInMs: number | undefined;
  for (const pod of active) {
    const sinceMs = readySinceMs(pod);
    if (sinceMs === undefined) continue;
    const leftMs = minReadyMs === 0 ? 0 : sinceMs + minReadyMs - nowMs;
    if (leftMs <= 0) availableReplicas++;
    else againInMs = Math.min(againInMs ?? Infinity, leftMs);
  }
  const others = rc.status?.conditions?.filter((condition) => condition.type !== 'ReplicaFailure') ?? [];
  const before = rc.status?.conditions?.find((condition) => condition.type === 'ReplicaFailure');
  // An old failure keeps its time and text while it lasts.
  const failed =
    failure && (before ?? { type: 'ReplicaFailure', status: 'True', lastTransitionTime: timeText(nowMs), ...failure });
  const conditions = failed ? [...others, failed] : others;
  return {
    againInMs,
    status: {
      replicas: active.length,
      fullyLabeledReplicas: active.filter((pod) => !template || matchesSet(template, pod.metadata.labels)).length,
      readyReplicas: active.filter(isReady).length,
      availableReplicas,
      ...(tellsTerminating && { terminatingReplicas: owned.filter(isTerminatingPod).length }),
      observedGeneration: rc.metadata.generation,
      ...(conditions.length > 0 && { conditions }),
    },
  };
}

const isTerminatingPod = ({ metadata, status }: Readonly<Pod>): boolean =>
  metadata.deletionTimestamp !== undefined && status?.phase !== 'Succeeded' && status?.phase !== 'Failed';

export function sameStatus(left: ReplicasStatus | undefined, right: ReplicasStatus): boolean {
  const counts = [
    'replicas',
    'fullyLabeledReplicas',
    'readyReplicas',
    'availableReplicas',
    'terminatingReplicas',
    'observedGeneration',
  ] as const;
  return (
    left !== undefined &&
    counts.every((name) => (left[name] ?? 0) === (right[name] ?? 0)) &&
    JSON.stringify(left.conditions ?? []) === JSON.stringify(right.conditions ?? [])
  );
}
