import { type Event, eventKind, isReason, type KubeObject } from '#api';
import { messageOf } from '#base';
import type { AnyKind } from './contract.ts';
import type { Core } from './core.ts';

const keepMs = 3_600_000; // one hour, upstream's default
const sweepMs = 60_000;
const sweepObjectsMax = 500;

/** Deletes events an hour after they were last seen. Ends with the server. */
export async function sweepEvents(core: Core): Promise<void> {
  const cache = core.cache.cacheOf(eventKind as AnyKind);
  while (cache && !core.signal.aborted) {
    await core.clock.sleep(sweepMs, core.signal);
    const before = core.clock.now() - keepMs;
    let removed = 0;
    for (const event of cache.all().slice()) {
      if (core.signal.aborted || removed >= sweepObjectsMax) break;
      if (seenMs(event.object as unknown as KubeObject & Event) > before) continue;
      removed++;
      try {
        await core.store.delete(event.key, event.version);
      } catch (error) {
        if (!isReason(error, 'NotFound', 'Conflict')) core.log.warn('an old event stays', { error: messageOf(error) });
      }
    }
  }
}

const seenMs = (event: KubeObject & Event): number =>
  Math.max(
    ...[event.lastTimestamp, event.eventTime, event.series?.lastObservedTime, event.metadata.creationTimestamp].map(
      (text) => Date.parse(text ?? '') || 0,
    ),
  );
