import type { Node, NodeCondition, NodeSystemInfo } from '#api';
import { timeText } from '#base';
import type { ImageInfo } from '#sdk';

export interface NodeFacts {
  readonly name: string;
  readonly ips: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly capacity: Readonly<Record<string, string>>;
  readonly allocatable: Readonly<Record<string, string>>;
  readonly info: NodeSystemInfo;
  readonly port: number;
  /** Why the node cannot run pods now; undefined: it can. */
  readonly notReady?: string;
  readonly images: readonly ImageInfo[];
}
const imagesMax = 50;

/** Pure: the node's status. Transition times of conditions that did not change are kept. */
export function nodeStatus(facts: NodeFacts, previous: Node['status'], nowMs: number): NonNullable<Node['status']> {
  const now = timeText(nowMs);
  const condition = (type: string, status: string, reason: string, message: string): NodeCondition => {
    const old = previous?.conditions?.find((each) => each.type === type);
    const lastTransitionTime = old?.status === status ? (old.lastTransitionTime ?? now) : now;
    return { type, status, reason, message, lastHeartbeatTime: now, lastTransitionTime };
  };
  return {
    capacity: { ...facts.capacity },
    allocatable: { ...facts.allocatable },
    addresses: [
      ...facts.ips.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: facts.name },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: facts.port } },
    nodeInfo: facts.info,
    images: [...facts.images]
      .sort((a, b) => b.sizeBytes - a.sizeBytes)
      .slice(0, imagesMax)
      .map(({ names, digests = [], sizeBytes }) => ({ names: [...digests, ...names], sizeBytes })),
    conditions: [
      condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
      condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
      condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
      facts.notReady
        ? condition('Ready', 'False', 'KubeletNotReady', facts.notReady)
        : condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
    ],
  };
}

/** Whether the API has (`there`) what we would write, whatever the order of its fields. A heartbeat's time alone does not count. */
export function sameStatus(there: Node['status'], ours: NonNullable<Node['status']>): boolean {
  const types = new Set(ours.conditions?.map(({ type }) => type)); // others may add conditions of their own
  const bare = (status: Node['status']) => ({
    ...status,
    images: status?.images ?? [],
    conditions: (status?.conditions ?? [])
      .filter(({ type }) => types.has(type))
      .map((each) => ({ ...each, lastHeartbeatTime: '' }))
      .sort((left, right) => (left.type < right.type ? -1 : 1)),
  });
  return Bun.deepEquals(bare(there), bare(ours), false);
}

export const nodeLabels = (name: string, arch: string) => ({
  'kubernetes.io/hostname': name,
  'kubernetes.io/os': 'linux',
  'kubernetes.io/arch': arch,
});
