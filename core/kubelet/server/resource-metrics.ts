import { Counter, Gauge, metricsText } from '#base';
import type { KubeletAccess } from './access.ts';
import { together } from './stats.ts';
import type { Usage } from './usage.ts';

/** GET /metrics/resource: processor time and memory of the node, its pods and their containers, under upstream's names. */
export function resourceMetrics(access: KubeletAccess, usage: Usage, nowMs: number): string {
  const ofContainer = ['container', 'namespace', 'pod'];
  const ofPod = ['namespace', 'pod'];
  const cpu = 'Processor time used since the start, in seconds of a core';
  const memory = 'Memory that cannot be taken back, in bytes';
  const metrics = {
    containerCpu: new Counter('container_cpu_usage_seconds_total', cpu, ofContainer),
    containerMemory: new Gauge('container_memory_working_set_bytes', memory, ofContainer),
    podCpu: new Counter('pod_cpu_usage_seconds_total', cpu, ofPod),
    podMemory: new Gauge('pod_memory_working_set_bytes', memory, ofPod),
    nodeCpu: new Counter('node_cpu_usage_seconds_total', cpu, []),
    nodeMemory: new Gauge('node_memory_working_set_bytes', memory, []),
    errors: new Gauge('resource_scrape_error', '1 when the node itself could not be measured', []),
  };
  const byPod = Map.groupBy(usage.containers, ({ podUid }) => podUid);
  for (const { uid, namespace, name } of access.pods()) {
    const containers = byPod.get(uid);
    if (!containers) continue;
    for (const { container, cpuUsageNs, memoryWorkingSetBytes } of containers) {
      metrics.containerCpu.add([container, namespace, name], cpuUsageNs / 1e9);
      metrics.containerMemory.set([container, namespace, name], memoryWorkingSetBytes);
    }
    const pod = together(containers, nowMs);
    metrics.podCpu.add([namespace, name], pod.cpuUsageNs / 1e9);
    metrics.podMemory.set([namespace, name], pod.memoryWorkingSetBytes);
  }
  if (usage.node) {
    metrics.nodeCpu.add([], usage.node.cpuUsageNs / 1e9);
    metrics.nodeMemory.set([], usage.node.memoryWorkingSetBytes);
  }
  metrics.errors.set([], usage.node ? 0 : 1);
  return metricsText(Object.values(metrics), () => {});
}
