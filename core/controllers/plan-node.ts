import type { Node, NodeCondition, Pod, Taint } from '#api';
import { timeText } from '#base';

export const notReadyKey = 'node.kubernetes.io/not-ready';
export const unreachableKey = 'node.kubernetes.io/unreachable';
const unschedulableKey = 'node.kubernetes.io/unschedulable';
const pressureKeys: Readonly<Record<string, string>> = {
  MemoryPressure: 'node.kubernetes.io/memory-pressure',
  DiskPressure: 'node.kubernetes.io/disk-pressure',
  PIDPressure: 'node.kubernetes.io/pid-pressure',
  NetworkUnavailable: 'node.kubernetes.io/network-unavailable',
};
const ownKeys = new Set([notReadyKey, unreachableKey, unschedulableKey, ...Object.values(pressureKeys)]);

export const readyStatus = (node: Readonly<Node>): string =>
  node.status?.conditions?.find((condition) => condition.type === 'Ready')?.status ?? 'Unknown';

/** The conditions of a node that fell silent: what it said last is no longer known. Undefined when they say so already. */
export function silentConditions(node: Readonly<Node>, nowMs: number): NodeCondition[] | undefined {
  const conditions = node.status?.conditions ?? [];
  const names = new Set([
    'Ready',
    'MemoryPressure',
    'DiskPressure',
    'PIDPressure',
    ...conditions.map(({ type }) => type),
  ]);
  names.delete('NetworkUnavailable'); // not the kubelet's to say
  let isChanged = false;
  const next = [...names].map((type): NodeCondition => {
    const before = conditions.find((condition) => condition.type === type);
    if (before?.status === 'Unknown') return before;
    isChanged = true;
    const lastTransitionTime = timeText(nowMs);
    return before
      ? {
          ...before,
          status: 'Unknown',
          reason: 'NodeStatusUnknown',
          message: 'Kubelet stopped posting node status.',
          lastTransitionTime,
        }
      : {
          type,
          status: 'Unknown',
          reason: 'NodeStatusNeverUpdated',
          message: 'Kubelet never posted node status.',
          lastTransitionTime,
        };
  });
  return isChanged ? [...next, ...conditions.filter(({ type }) => type === 'NetworkUnavailable')] : undefined;
}

/** The whole set of taints this node should carry; undefined when it does already. Others' taints stay. */
export function planTaints(node: Readonly<Node>, mayEvict: boolean, nowMs: number): Taint[] | undefined {
  const wanted: Taint[] = [];
  const want = (key: string, effect: string) => {
    const before = node.spec?.taints?.find((taint) => taint.key === key && taint.effect === effect);
    wanted.push(before ?? { key, effect, timeAdded: timeText(nowMs) });
  };
  const ready = readyStatus(node);
  if (ready !== 'True') {
    const key = ready === 'Unknown' ? unreachableKey : notReadyKey;
    want(key, 'NoSchedule');
    if (mayEvict) want(key, 'NoExecute');
  }
  for (const [type, key] of Object.entries(pressureKeys))
    if (node.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True'))
      want(key, 'NoSchedule');
  if (node.spec?.unschedulable) want(unschedulableKey, 'NoSchedule');
  const others = (node.spec?.taints ?? []).filter(({ key }) => !ownKeys.has(key));
  const next = [...others, ...wanted];
  const text = (taints: readonly Taint[]) =>
    taints
      .map(({ key, effect }) => `${key}:${effect}`)
      .sort()
      .join();
  return text(next) === text(node.spec?.taints ?? []) ? undefined : next;
}

/** When this pod must leave: 0 or less is now, undefined is never. */
export function evictInMs(pod: Readonly<Pod>, taints: readonly Taint[], nowMs: number): number | undefined {
  let soonest: number | undefined;
  for (const taint of taints) {
    if (taint.effect !== 'NoExecute') continue;
    const matching = (pod.spec?.tolerations ?? []).filter(
      (toleration) =>
        (!toleration.effect || toleration.effect === 'NoExecute') &&
        (!toleration.key ? toleration.operator === 'Exists' : toleration.key === taint.key) &&
        (toleration.operator === 'Exists' || (toleration.value ?? '') === (taint.value ?? '')),
    );
    if (matching.length === 0) return 0;
    const seconds = matching.flatMap(({ tolerationSeconds }) => tolerationSeconds ?? []);
    if (seconds.length === 0) continue; // tolerated for ever
    const sinceMs = Date.parse(taint.timeAdded ?? '') || nowMs;
    soonest = Math.min(soonest ?? Infinity, sinceMs + Math.max(0, Math.min(...seconds)) * 1000 - nowMs);
  }
  return soonest;
}
