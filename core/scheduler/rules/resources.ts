import type { Pod } from '#api';
import { accept, type NodeInfo, refuse, type SchedulerPlugin } from '#sdk';
import { requestsOf } from '../pod-requests.ts';

export const resources: SchedulerPlugin = {
  name: 'NodeResourcesFit',
  retryOn: ['node', 'pod-deleted'],
  preFilter: (pod, state) => void state.data.set('requests', requestsOf(pod)),
  filter(_pod, { requested, allocatable }, state) {
    const wanted = state.data.get('requests') as ReturnType<typeof requestsOf>;
    const reasons: string[] = [];
    let fixable = true;
    const check = (want: number, used: number, all: number, reason: string) => {
      if (want === 0 || want <= all - used) return;
      reasons.push(reason);
      if (want > all) fixable = false; // even the empty node is too small
    };
    check(1, requested.pods, allocatable.pods, 'Too many pods');
    check(wanted.cpuMilli, requested.cpuMilli, allocatable.cpuMilli, 'Insufficient cpu');
    check(wanted.memoryBytes, requested.memoryBytes, allocatable.memoryBytes, 'Insufficient memory');
    for (const [name, want] of Object.entries(wanted.other))
      check(want, requested.other[name] ?? 0, allocatable.other[name] ?? 0, `Insufficient ${name}`);
    return reasons.length === 0 ? accept : refuse(reasons.join('\n'), fixable);
  },
};

// A pod that asks for nothing still weighs something, else all such pods would land on one node.
const assumedCpuMilli = 100;
const assumedMemoryBytes = 200 * 1024 * 1024;
function fractions(pod: Readonly<Pod>, { requested, allocatable, pods }: NodeInfo): [number, number] {
  const wanted = requestsOf(pod);
  const silent = pods.length + 1;
  const cpu = Math.max(requested.cpuMilli + wanted.cpuMilli, silent * assumedCpuMilli);
  const memory = Math.max(requested.memoryBytes + wanted.memoryBytes, silent * assumedMemoryBytes);
  return [
    Math.min(1, cpu / Math.max(1, allocatable.cpuMilli)),
    Math.min(1, memory / Math.max(1, allocatable.memoryBytes)),
  ];
}
export const leastAllocated: SchedulerPlugin = {
  name: 'NodeResourcesLeastAllocated',
  score(pod, node) {
    const [cpu, memory] = fractions(pod, node);
    return 100 * (1 - (cpu + memory) / 2);
  },
};
export const balancedAllocation: SchedulerPlugin = {
  name: 'NodeResourcesBalancedAllocation',
  score(pod, node) {
    const [cpu, memory] = fractions(pod, node);
    return 100 * (1 - Math.abs(cpu - memory) / 2);
  },
};
