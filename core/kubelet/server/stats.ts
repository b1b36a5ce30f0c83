import { timeText } from '#base';
import type { KubeletAccess } from './access.ts';
import type { ContainerUsed, NodeUsed, Usage, Used } from './usage.ts';

/** GET /stats/summary in the shape of stats.k8s.io v1alpha1: what metrics collectors read. Network and disks are not measured. */
export function statsSummary(access: KubeletAccess, usage: Usage, nowMs: number): object {
  const byPod = Map.groupBy(usage.containers, ({ podUid }) => podUid);
  const pods = access.pods().map((pod) => {
    const containers = byPod.get(pod.uid) ?? [];
    return {
      podRef: { name: pod.name, namespace: pod.namespace, uid: pod.uid },
      startTime: pod.startedAtMs === undefined ? null : timeText(pod.startedAtMs),
      containers: containers.map((one) => ({ name: one.container, ...figures(one) })),
      ...figures(together(containers, nowMs)),
    };
  });
  return { node: { nodeName: access.nodeName, ...(usage.node && ofNode(usage.node)) }, pods };
}

export function together(containers: readonly ContainerUsed[], nowMs: number): Used {
  const sum = (value: (one: ContainerUsed) => number) => containers.reduce((total, one) => total + value(one), 0);
  return {
    timeMs: containers.reduce((least, { timeMs }) => Math.min(least, timeMs), nowMs),
    cpuUsageNs: sum((one) => one.cpuUsageNs),
    memoryWorkingSetBytes: sum((one) => one.memoryWorkingSetBytes),
    ...(containers.some(({ nanoCores }) => nanoCores !== undefined) && {
      nanoCores: sum((one) => one.nanoCores ?? 0),
      windowMs: Math.max(...containers.map(({ windowMs = 0 }) => windowMs)),
    }),
  };
}

/** `windowMs` is ours: upstream's summary has a rate and not over which time. */
function figures({ timeMs, cpuUsageNs, nanoCores, windowMs, memoryWorkingSetBytes }: Used) {
  const time = timeText(timeMs);
  const rate = nanoCores !== undefined && { usageNanoCores: nanoCores, windowMs };
  return {
    cpu: { time, ...rate, usageCoreNanoSeconds: cpuUsageNs },
    memory: { time, workingSetBytes: memoryWorkingSetBytes },
  };
}

function ofNode(node: NodeUsed): object {
  const { cpu, memory } = figures(node);
  const { memoryAvailableBytes: availableBytes, memoryRssBytes: rssBytes } = node;
  return { startTime: timeText(node.bootMs), cpu, memory: { ...memory, availableBytes, rssBytes } };
}
