import { milliOf, type Node, type Pod, wholeOf } from '#api';
import type { NodeInfo } from '#sdk';
import { requestsOf } from './pod-requests.ts';

const podsDefault = 110; // the kubelet's default

/** A node with what runs on it, summed once. */
export function nodeInfoOf(node: Readonly<Node>, pods: readonly Readonly<Pod>[]): NodeInfo {
  const requested = { cpuMilli: 0, memoryBytes: 0, pods: pods.length, other: {} as Record<string, number> };
  for (const pod of pods) {
    const requests = requestsOf(pod);
    requested.cpuMilli += requests.cpuMilli;
    requested.memoryBytes += requests.memoryBytes;
    for (const [name, amount] of Object.entries(requests.other))
      requested.other[name] = (requested.other[name] ?? 0) + amount;
  }
  const { cpu, memory, pods: podCount, ...other } = node.status?.allocatable ?? {};
  return {
    node,
    pods,
    requested,
    allocatable: {
      cpuMilli: milliOf(cpu),
      memoryBytes: wholeOf(memory),
      pods: podCount === undefined ? podsDefault : wholeOf(podCount),
      other: Object.fromEntries(Object.entries(other).map(([name, amount]) => [name, wholeOf(amount)])),
    },
  };
}
