import type { ResourceVersion } from '#api';
import { messageOf } from '#base';
import type { Core } from './core.ts';

/** Upstream's --etcd-compaction-interval. History of one to two intervals is kept. */
export const compactionIntervalMs = 300_000;

/**
 * Forgets, at every interval, what was history already at the one before: a page token or a watch that is younger than one
 * interval always goes on. Ends with the server. Several servers on one store do it each; the newest bound wins and is as old.
 */
export async function compactHistory(core: Core, intervalMs = compactionIntervalMs): Promise<void> {
  let before: ResourceVersion | undefined;
  while (intervalMs > 0 && !core.signal.aborted) {
    await core.clock.sleep(intervalMs, core.signal);
    if (core.signal.aborted) return;
    try {
      const now = await core.store.version();
      if (before !== undefined) {
        await core.store.compact(before);
        core.cache.forgetBefore(before);
      }
      before = now;
    } catch (error) {
      core.log.warn('old history stays: the store could not compact it', { error: messageOf(error) });
    }
  }
}
