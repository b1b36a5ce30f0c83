import type { Clock } from '#base';

/** So long one reconcile or finalize of one object may take. */
export const reconcileMsMax = 60_000;
const namedMax = 5;

/** What did not return in time, as the host is told. */
export interface LateReconciles {
  /** Deadlines that passed since the start. */
  readonly total: number;
  /** Objects whose last reconcile did not return in time, such as `cron-crontasks default/tick`; the first 5. */
  readonly objects: readonly string[];
}

/**
 * Gives each reconcile 60 s: then its signal aborts, and the object comes again with back-off. One that goes on all the
 * same keeps its object to itself until it returns, because two at once would act on the same children.
 * Bounded by the number of live objects.
 */
export class Deadlines {
  #total = 0;
  readonly #late = new Set<string>();
  readonly #unreturned = new Set<string>();
  constructor(private readonly msMax: number = reconcileMsMax) {}

  /** Rejects with what `work` rejects with, or says that it took too long. `outer`: everything stops. */
  async run<T>(name: string, clock: Clock, outer: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#unreturned.has(name))
      throw new Error(`its last reconcile has not returned since its deadline of ${this.msMax / 1_000} s`);
    const limit = new AbortController();
    const timer = new AbortController();
    const stop = (): void => limit.abort(outer.reason);
    outer.addEventListener('abort', stop, { once: true });
    if (outer.aborted) stop();
    const late = clock.sleep(this.msMax, timer.signal).then((): never | undefined => {
      if (timer.signal.aborted) return undefined;
      const error = new Error(`it did not return within its deadline of ${this.msMax / 1_000} s`);
      this.#total++;
      this.#late.add(name);
      this.#unreturned.add(name);
      limit.abort(error);
      throw error;
    });
    const done = work(limit.signal).finally(() => {
      timer.abort();
      this.#unreturned.delete(name);
      outer.removeEventListener('abort', stop);
    });
    done.catch(() => {}); // after the deadline nobody else listens
    await Promise.race([done, late]);
    const result = await done;
    this.#late.delete(name);
    return result;
  }
  /** The object is gone. */
  forget(name: string): void {
    this.#late.delete(name);
  }
  report(): LateReconciles {
    return { total: this.#total, objects: [...this.#late].slice(0, namedMax) };
  }
}
