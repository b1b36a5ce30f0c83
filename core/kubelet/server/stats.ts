import { timeText } from '#base';
import type { ContainerStats } from '#sdk';
import type { KubeletAccess, KubeletServerRuntime } from './access.ts';

/** GET /stats/summary in the shape of stats.k8s.io v1alpha1: what metrics collectors read. Network and disks are not measured. */
export async function statsSummary(
  access: KubeletAccess,
  runtime: KubeletServerRuntime,
  nowMs: number,
): Promise<object> {
  const byPod = Map.groupBy(await runtime.stats(), (stats) => stats.podUid);
  const pods = access.pods().map((pod) => ({
    podRef: { name: pod.name, namespace: pod.namespace, uid: pod.uid },
    startTime: pod.startedAtMs === undefined ? null : timeText(pod.startedAtMs),
    containers: (byPod.get(pod.uid) ?? []).map((stats) => ({ name: stats.container, ...usage([stats], stats.timeMs) })),
    ...usage(byPod.get(pod.uid) ?? [], nowMs),
  }));
  return { node: { nodeName: access.nodeName }, pods };
}

function usage(stats: readonly ContainerStats[], timeMs: number): object {
  const time = timeText(timeMs);
  const sum = (value: (one: ContainerStats) => number) => stats.reduce((total, one) => total + value(one), 0);
  return {
    cpu: { time, usageCoreNanoSeconds: sum((one) => one.cpuUsageNs) },
    memory: { time, workingSetBytes: sum((one) => one.memoryWorkingSetBytes) },
  };
}
