import type { Clock } from '#base';

/** What lives until a time, and may have something to do before. */
export interface Timed {
  /** When it wants to be called next, by the monotonic clock. */
  readonly dueMs: number;
  /** Must set a later `dueMs`, or be removed. */
  onDue(nowMs: number): void;
  /** The server stops. */
  close(): void;
}
/** Nothing here needs to be exact: bookmarks come every minute, ends after seconds. */
const leastNapMs = 100;

/**
 * The ends and bookmarks of all watches. One nap until the next of them instead of a timer, an abort controller and a listener for
 * each: of an idle watch those were more than half.
 */
export class WatchTimes {
  readonly #watches = new Set<Timed>();
  #napEndMs = 0;
  #nap: AbortController | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly signal: AbortSignal,
  ) {
    signal.addEventListener('abort', () => {
      this.#nap?.abort();
      for (const watch of [...this.#watches]) watch.close();
    });
  }

  add(watch: Timed): void {
    if (this.signal.aborted) return watch.close();
    this.#watches.add(watch);
    if (!this.#nap) void this.#run();
    else if (watch.dueMs < this.#napEndMs) this.#nap.abort();
  }
  remove(watch: Timed): void {
    this.#watches.delete(watch);
    if (this.#watches.size === 0) this.#nap?.abort();
  }

  async #run(): Promise<void> {
    while (this.#watches.size > 0 && !this.signal.aborted) {
      const nowMs = this.clock.monotonicMs();
      let nextMs = Number.POSITIVE_INFINITY;
      for (const watch of this.#watches) {
        if (watch.dueMs <= nowMs) watch.onDue(nowMs);
        if (this.#watches.has(watch)) nextMs = Math.min(nextMs, watch.dueMs);
      }
      this.#nap = new AbortController();
      this.#napEndMs = Math.max(nextMs, nowMs + leastNapMs);
      if (this.#watches.size > 0) await this.clock.sleep(this.#napEndMs - nowMs, this.#nap.signal);
    }
    this.#nap = undefined;
  }
}
