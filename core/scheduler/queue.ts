import type { Clock } from '#base';
import type { RetryOn } from '#sdk';

const backoffMs = { first: 1_000, most: 10_000 }; // upstream's podInitialBackoffSeconds and podMaxBackoffSeconds
const unschedulableRetryMs = 5 * 60_000;

interface Waiting {
  readonly key: string;
  readonly priority: number;
  readonly order: number;
  attempts: number;
  /** Monotonic; not before this time. */
  notBeforeMs: number;
  /** Set while refused: which changes bring it back. */
  retryOn?: readonly RetryOn[];
}

/** Pods that want a node: by priority, then by arrival; refused ones wait for a change that could help, at most five minutes. */
export class SchedulingQueue {
  readonly #waiting = new Map<string, Waiting>();
  #order = 0;
  #wake: (() => void) | undefined;
  constructor(private readonly clock: Clock) {}

  get size(): number {
    return this.#waiting.size;
  }

  /** A pod that appeared, or whose spec changed: it is tried again at once unless it backs off. */
  add(key: string, priority: number): void {
    const known = this.#waiting.get(key);
    if (!known) this.#waiting.set(key, { key, priority, order: this.#order++, attempts: 0, notBeforeMs: 0 });
    else if (known.retryOn) this.#release(known);
    this.#signal();
  }
  remove(key: string): void {
    this.#waiting.delete(key);
  }

  /** The pod was refused by every node. */
  refuse(key: string, retryOn: readonly RetryOn[]): void {
    const entry = this.#waiting.get(key);
    if (!entry) return;
    entry.attempts++;
    entry.retryOn = retryOn;
    entry.notBeforeMs = this.clock.monotonicMs() + unschedulableRetryMs;
  }
  /** The attempt failed for another reason (a binding that was refused): again after a growing pause. */
  backOff(key: string): void {
    const entry = this.#waiting.get(key);
    if (!entry) return;
    entry.attempts++;
    entry.retryOn = undefined;
    entry.notBeforeMs = this.clock.monotonicMs() + pauseMs(entry.attempts);
  }

  /** Something changed in the cluster. */
  changed(what: RetryOn): void {
    for (const entry of this.#waiting.values()) if (entry.retryOn?.includes(what)) this.#release(entry);
    this.#signal();
  }

  /** Resolves to the next pod to try, or undefined when the signal aborts. */
  async next(signal: AbortSignal): Promise<string | undefined> {
    while (!signal.aborted) {
      const now = this.clock.monotonicMs();
      let first: Waiting | undefined;
      let soonestMs = Number.POSITIVE_INFINITY;
      for (const entry of this.#waiting.values()) {
        if (entry.notBeforeMs > now) soonestMs = Math.min(soonestMs, entry.notBeforeMs);
        else if (
          !first ||
          entry.priority > first.priority ||
          (entry.priority === first.priority && entry.order < first.order)
        )
          first = entry;
      }
      if (first) return first.key;
      await this.#wait(soonestMs - now, signal);
    }
    return undefined;
  }

  #release(entry: Waiting): void {
    entry.retryOn = undefined;
    entry.notBeforeMs = this.clock.monotonicMs() + (entry.attempts > 1 ? pauseMs(entry.attempts - 1) : 0);
  }
  #signal(): void {
    this.#wake?.();
  }
  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const wake = () => stop.abort();
    this.#wake = wake;
    signal.addEventListener('abort', wake, { once: true });
    await this.clock.sleep(Math.min(ms, 60_000), stop.signal);
    signal.removeEventListener('abort', wake);
    this.#wake = undefined;
  }
}

const pauseMs = (attempts: number): number => Math.min(backoffMs.first * 2 ** (attempts - 1), backoffMs.most);
