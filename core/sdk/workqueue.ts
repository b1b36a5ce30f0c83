import type { Clock } from '#base';

const retryMinMs = 5;
const retryMsMaxDefault = 1_000_000;

/**
 * Keys that wait for a worker. A key waits once however often it is added, and is never worked on twice at a time:
 * added while in work, it comes again after `done`. Bounded by the number of distinct keys, that is of live objects.
 */
export class WorkQueue {
  readonly #ready: string[] = [];
  readonly #dirty = new Set<string>();
  readonly #working = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #later = new Map<string, { dueMs: number; cancel: AbortController }>();
  readonly #waiters: ((key: string | undefined) => void)[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly signal: AbortSignal,
    private readonly retryMsMax = retryMsMaxDefault,
    /** Told of each key that begins to wait. */
    private readonly onAdd?: (key: string) => void,
  ) {
    signal.addEventListener('abort', () => this.#close(), { once: true });
  }

  get length(): number {
    return this.#ready.length;
  }

  add(key: string): void {
    if (this.signal.aborted || this.#dirty.has(key)) return;
    this.#dirty.add(key);
    this.onAdd?.(key);
    if (!this.#working.has(key)) this.#push(key);
  }
  /** The earliest of several times counts. */
  addAfter(key: string, afterMs: number): void {
    if (afterMs <= 0) {
      this.add(key);
      return;
    }
    const dueMs = this.clock.monotonicMs() + afterMs;
    const planned = this.#later.get(key);
    if (this.signal.aborted || (planned && planned.dueMs <= dueMs)) return;
    planned?.cancel.abort();
    const cancel = new AbortController();
    this.#later.set(key, { dueMs, cancel });
    void this.clock.sleep(afterMs, cancel.signal).then(() => {
      if (cancel.signal.aborted) return;
      this.#later.delete(key);
      this.add(key);
    });
  }
  /** 5 ms, doubling with every failure since the last `forget`, up to 1000 s or what it was made with. Returns the wait. */
  addRateLimited(key: string): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const afterMs = Math.min(retryMinMs * 2 ** failures, this.retryMsMax);
    this.addAfter(key, afterMs);
    return afterMs;
  }
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key; undefined when the signal aborts. Call `done` with it afterwards. */
  next(): Promise<string | undefined> {
    if (this.signal.aborted) return Promise.resolve(undefined);
    const key = this.#ready.shift();
    if (key === undefined) return new Promise((resolve) => this.#waiters.push(resolve));
    this.#take(key);
    return Promise.resolve(key);
  }
  done(key: string): void {
    this.#working.delete(key);
    if (this.#dirty.has(key)) this.#push(key);
  }

  #push(key: string): void {
    const waiter = this.#waiters.shift();
    if (!waiter) return void this.#ready.push(key);
    this.#take(key);
    waiter(key);
  }
  #take(key: string): void {
    this.#dirty.delete(key);
    this.#working.add(key);
  }
  #close(): void {
    for (const { cancel } of this.#later.values()) cancel.abort();
    this.#later.clear();
    for (const waiter of this.#waiters.splice(0)) waiter(undefined);
  }
}
