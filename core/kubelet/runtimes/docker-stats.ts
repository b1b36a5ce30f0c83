import type { ContainerStats } from '#sdk';
import type { DockerEngine } from './docker-engine.ts';
import { isStatus } from './docker-images.ts';
import { labels } from './docker-specs.ts';
import type { ListedContainer } from './docker-states.ts';

/** Of a container's use; the memory's names are those of cgroup v1 and v2. Podman tells no page cache apart. */
interface Sample {
  readonly cpu_stats: { readonly cpu_usage: { readonly total_usage: number } };
  readonly memory_stats?: {
    readonly usage?: number;
    readonly stats?: { readonly total_inactive_file?: number; readonly inactive_file?: number };
  };
}

/** Undefined when the container has ended meanwhile. `nowMs`: the time to note. */
export async function dockerStats(
  engine: DockerEngine,
  row: ListedContainer,
  nowMs: () => number,
): Promise<ContainerStats | undefined> {
  try {
    const query = { stream: false, 'one-shot': true };
    const sample = await engine.call<Sample | undefined>('GET', `/containers/${row.Id}/stats`, { query });
    if (!sample?.cpu_stats) return undefined; // Podman ends the answer without a word
    const memory = sample.memory_stats;
    const idle = memory?.stats?.total_inactive_file ?? memory?.stats?.inactive_file ?? 0; // cgroup v1 and v2
    return {
      podUid: row.Labels[labels.podUid] ?? '',
      container: row.Labels[labels.container] ?? '',
      timeMs: nowMs(),
      cpuUsageNs: sample.cpu_stats.cpu_usage.total_usage,
      memoryWorkingSetBytes: Math.max(0, (memory?.usage ?? 0) - idle),
    };
  } catch (error) {
    if (!isStatus(error, 404, 409)) throw error;
    return undefined;
  }
}
