import { accept, type NodeInfo, refuse, type SchedulerPlugin } from '#sdk';
import { requestsOf } from '../pod-requests.ts';

/** Requests must fit into what is allocatable; every lack is named. */
export const nodeResourcesFit: SchedulerPlugin = {
  name: 'NodeResourcesFit',
  retryOn: ['node', 'pod-deleted'],
  filter(pod, info) {
    const { requested, allocatable } = info;
    const wanted = requestsOf(pod);
    const lacks: string[] = [];
    let fits = true; // an empty node would do
    if (requested.pods + 1 > allocatable.pods) lacks.push('Too many pods');
    const need = (name: string, amount: number, used: number, all: number) => {
      if (amount <= 0 || used + amount <= all) return;
      lacks.push(`Insufficient ${name}`);
      fits &&= amount <= all;
    };
    need('cpu', wanted.cpuMilli, requested.cpuMilli, allocatable.cpuMilli);
    need('memory', wanted.memoryBytes, requested.memoryBytes, allocatable.memoryBytes);
    for (const [name, amount] of Object.entries(wanted.other))
      need(name, amount, requested.other[name] ?? 0, allocatable.other[name] ?? 0);
    return lacks.length === 0 ? accept : refuse(lacks.join('\n'), fits);
  },
  score: (pod, info) => {
    const { cpu, memory } = usedShares(pod, info);
    return (100 * (1 - cpu) + 100 * (1 - memory)) / 2; // least allocated
  },
};

/** Prefers nodes on which CPU and memory are used in like shares. */
export const nodeResourcesBalanced: SchedulerPlugin = {
  name: 'NodeResourcesBalancedAllocation',
  score(pod, info) {
    const { cpu, memory } = usedShares(pod, info);
    return 100 * (1 - Math.abs(cpu - memory) / 2); // the standard deviation of two values is half their distance
  },
};

/** Kept with the node's info, which is made anew when anything on the node changes. */
const usedBy = new WeakMap<NodeInfo, { cpuMilli: number; memoryBytes: number }>();
function usedOf(info: NodeInfo): { cpuMilli: number; memoryBytes: number } {
  let used = usedBy.get(info);
  if (used) return used;
  used = { cpuMilli: 0, memoryBytes: 0 };
  for (const pod of info.pods) {
    const requests = requestsOf(pod, true);
    used.cpuMilli += requests.cpuMilli;
    used.memoryBytes += requests.memoryBytes;
  }
  usedBy.set(info, used);
  return used;
}

function usedShares(
  pod: Parameters<NonNullable<SchedulerPlugin['score']>>[0],
  info: NodeInfo,
): { cpu: number; memory: number } {
  const wanted = requestsOf(pod, true);
  const used = usedOf(info);
  const cpuMilli = wanted.cpuMilli + used.cpuMilli;
  const memoryBytes = wanted.memoryBytes + used.memoryBytes;
  const share = (used: number, of: number): number => (of === 0 ? 1 : Math.min(1, used / of));
  return { cpu: share(cpuMilli, info.allocatable.cpuMilli), memory: share(memoryBytes, info.allocatable.memoryBytes) };
}
