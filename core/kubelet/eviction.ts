import { join } from 'node:path';
import { type Pod, wholeOf } from '#api';
import type { Clock, Exec, Log } from '#base';

const lookEveryMs = 10_000;
const measureTimeoutMs = 60_000;
const systemCriticalPriority = 2_000_000_000; // such pods are never evicted

export interface EvictablePod {
  readonly pod: Readonly<Pod> | undefined;
  readonly hasEnded: boolean;
  /** Holds `volumes/NAME`. */
  readonly volumes: { readonly folder: string };
  evict(message: string): void;
}

/** Pure: emptyDirs whose use must be measured. Those in memory are held to their limit by the kernel. */
export const limitedVolumes = (pod: Readonly<Pod>): { name: string; limitBytes: number; limit: string }[] =>
  (pod.spec?.priority ?? 0) >= systemCriticalPriority
    ? []
    : (pod.spec?.volumes ?? []).flatMap(({ name, emptyDir }) => {
        const limitBytes = wholeOf(emptyDir?.sizeLimit);
        return emptyDir && emptyDir.medium !== 'Memory' && limitBytes > 0
          ? [{ name, limitBytes, limit: String(emptyDir.sizeLimit) }]
          : [];
      });

/**
 * Evicts pods that put more into an emptyDir than its sizeLimit, as upstream's kubelet does every 10 s. Pods without a
 * limit cost nothing; the others one `du` for each limited volume. Ends when the signal aborts.
 */
export async function evictOverLimit(options: {
  readonly pods: () => Iterable<EvictablePod>;
  readonly exec: Exec;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { clock, signal, log } = options;
  while (!signal.aborted) {
    await clock.sleep(lookEveryMs, signal);
    for (const each of options.pods()) {
      if (signal.aborted) return;
      await measure(each, options.exec).catch((error) => log.warn('use of volumes not measured', { error }));
    }
  }
}

async function measure(target: EvictablePod, exec: Exec): Promise<void> {
  if (!target.pod || target.hasEnded) return;
  for (const { name, limitBytes, limit } of limitedVolumes(target.pod)) {
    const path = join(target.volumes.folder, 'volumes', name);
    const { stdout } = await exec.run(['du', '-skx', path], { timeoutMs: measureTimeoutMs }); // non-zero when a file went away meanwhile: the sum still holds
    const usedBytes = Number(/^\d+/.exec(stdout)?.[0] ?? 0) * 1024;
    if (usedBytes <= limitBytes || target.hasEnded) continue;
    target.evict(`Usage of EmptyDir volume "${name}" exceeds the limit "${limit}". `);
    return;
  }
}
