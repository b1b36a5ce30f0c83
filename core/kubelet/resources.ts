import { type Container, milliOf, type Pod, wholeOf } from '#api';
import type { ContainerSpec } from '#sdk';
import { containersOf } from './names.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

/** Guaranteed: every container limits cpu and memory and asks for as much. BestEffort: none asks for anything. */
export function qosClassOf(pod: Readonly<Pod>): QosClass {
  let any = false;
  let all = true;
  for (const { role, spec } of containersOf(pod)) {
    if (role === 'ephemeral') continue;
    for (const name of ['cpu', 'memory'] as const) {
      const limit = milliOf(spec.resources?.limits?.[name]);
      const request = milliOf(spec.resources?.requests?.[name] ?? spec.resources?.limits?.[name]);
      if (limit > 0 || request > 0) any = true;
      if (limit === 0 || limit !== request) all = false;
    }
  }
  return any ? (all ? 'Guaranteed' : 'Burstable') : 'BestEffort';
}

const criticalPriority = 2_000_001_000; // system-node-critical
/** What the kernel adds to a container's OOM score: those that ask for more memory live longer. */
export function oomScoreOf(pod: Readonly<Pod>, container: Container, memoryCapacityBytes: number): number {
  if ((pod.spec?.priority ?? 0) >= criticalPriority) return -997;
  const qos = qosClassOf(pod);
  if (qos === 'Guaranteed') return -997;
  if (qos === 'BestEffort') return 1000;
  const request = wholeOf(container.resources?.requests?.memory);
  const score = 1000 - Math.floor((1000 * request) / Math.max(1, memoryCapacityBytes));
  return score < 3 ? 3 : score === 1000 ? 999 : score; // 1000 - 997; and never as high as BestEffort
}

const periodUs = 100_000;
const quotaMinUs = 1000;
/** cgroup values. A container without a cpu request gets what its limit says, else the least share. */
export function resourcesOf(
  pod: Readonly<Pod>,
  container: Container,
  memoryCapacityBytes: number,
): ContainerSpec['resources'] {
  const limits = container.resources?.limits;
  const requests = container.resources?.requests;
  const cpuLimitMilli = milliOf(limits?.cpu);
  const cpuRequestMilli = requests?.cpu !== undefined ? milliOf(requests.cpu) : cpuLimitMilli;
  return {
    cpuShares: Math.min(262_144, Math.max(2, Math.floor((cpuRequestMilli * 1024) / 1000))),
    cpuQuotaUs: cpuLimitMilli ? Math.max(quotaMinUs, Math.floor((cpuLimitMilli * periodUs) / 1000)) : undefined,
    memoryLimitBytes: wholeOf(limits?.memory) || undefined,
    oomScoreAdj: oomScoreOf(pod, container, memoryCapacityBytes),
  };
}
