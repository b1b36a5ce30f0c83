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

/** What a heartbeat alone changes does not count. */
export function sameStatus(a: Node['status'], b: Node['status']): boolean {
  const bare = (status: Node['status']) =>
    JSON.stringify({ ...status, conditions: status?.conditions?.map((each) => ({ ...each, lastHeartbeatTime: '' })) });
  return bare(a) === bare(b);
}

export const nodeLabels = (name: string, arch: string, extra: Readonly<Record<string, string>> = {}) => ({
  'kubernetes.io/hostname': name,
  'kubernetes.io/os': 'linux',
  'kubernetes.io/arch': arch,
  ...extra,
});
