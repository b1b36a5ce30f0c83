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
  /** In the heap of those that can be tried now; else it waits for its time. */
  isReady: boolean;
}

/** Pods that want a node: by priority, then by arrival; refused ones wait for a change that could help, at most five minutes. */
export class SchedulingQueue {
  readonly #waiting = new Map<string, Waiting>();
  /** A binary heap, the first to try in front. What was removed or refused meanwhile is dropped when it comes to the front. */
  readonly #ready: Waiting[] = [];
  readonly #later = new Set<Waiting>();
  /** No entry of #later is due before. */
  #soonestMs = Number.POSITIVE_INFINITY;
  #order = 0;
  #wake: (() => void) | undefined;
  constructor(private readonly clock: Clock) {}

  get size(): number {
    return this.#waiting.size;
  }
  /** Those that can be tried, those that wait for their time, and those that wait for a change. */
  sizes(): { readonly active: number; readonly backoff: number; readonly unschedulable: number } {
    let [active, unschedulable] = [0, 0];
    for (const { isReady, retryOn } of this.#waiting.values()) {
      if (isReady) active++;
      else if (retryOn) unschedulable++;
    }
    return { active, unschedulable, backoff: this.#waiting.size - active - unschedulable };
  }

  /** A pod that appeared, or whose spec changed: it is tried again at once unless it backs off. */
  add(key: string, priority: number): void {
    const known = this.#waiting.get(key);
    if (!known) {
      const entry = { key, priority, order: this.#order++, attempts: 0, notBeforeMs: 0, isReady: false };
      this.#waiting.set(key, entry);
      this.#place(entry);
    } else if (known.retryOn) this.#release(known);
    this.#signal();
  }
  remove(key: string): void {
    const entry = this.#waiting.get(key);
    if (!entry) return;
    this.#waiting.delete(key);
    this.#later.delete(entry);
    entry.isReady = false;
  }

  /** The pod was refused by every node. */
  refuse(key: string, retryOn: readonly RetryOn[]): void {
    const entry = this.#waiting.get(key);
    if (!entry) return;
    entry.attempts++;
    entry.retryOn = retryOn;
    entry.notBeforeMs = this.clock.monotonicMs() + unschedulableRetryMs;
    this.#place(entry);
  }
  /** The attempt failed for another reason (a binding that was refused): again after a growing pause. */
  backOff(key: string): void {
    const entry = this.#waiting.get(key);
    if (!entry) return;
    entry.attempts++;
    entry.retryOn = undefined;
    entry.notBeforeMs = this.clock.monotonicMs() + pauseMs(entry.attempts);
    this.#place(entry);
  }

  /** Something changed in the cluster. */
  changed(what: RetryOn): void {
    let helped = false;
    for (const entry of this.#later)
      if (entry.retryOn?.includes(what)) {
        this.#release(entry);
        helped = true;
      }
    if (helped) this.#signal();
  }

  /** Resolves to the next pod to try, or undefined when the signal aborts. */
  async next(signal: AbortSignal): Promise<string | undefined> {
    while (!signal.aborted) {
      const now = this.clock.monotonicMs();
      if (this.#soonestMs <= now) this.#takeDue(now);
      while (this.#ready.length > 0 && !this.#ready[0]!.isReady) pop(this.#ready);
      if (this.#ready[0]) return this.#ready[0].key;
      await this.#wait(this.#soonestMs - now, signal);
    }
    return undefined;
  }

  #takeDue(now: number): void {
    this.#soonestMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#later)
      if (entry.notBeforeMs <= now) this.#place(entry);
      else this.#soonestMs = Math.min(this.#soonestMs, entry.notBeforeMs);
  }
  #place(entry: Waiting): void {
    const isDue = entry.notBeforeMs <= this.clock.monotonicMs();
    if (isDue && !entry.isReady) {
      this.#later.delete(entry);
      push(this.#ready, entry);
    } else if (!isDue) {
      this.#later.add(entry);
      this.#soonestMs = Math.min(this.#soonestMs, entry.notBeforeMs);
    }
    entry.isReady = isDue;
  }

  #release(entry: Waiting): void {
    entry.retryOn = undefined;
    entry.notBeforeMs = this.clock.monotonicMs() + (entry.attempts > 1 ? pauseMs(entry.attempts - 1) : 0);
    this.#place(entry);
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

const isBefore = (left: Waiting, right: Waiting): boolean =>
  left.priority > right.priority || (left.priority === right.priority && left.order < right.order);

function push(heap: Waiting[], entry: Waiting): void {
  let at = heap.push(entry) - 1;
  for (let parent = (at - 1) >> 1; at > 0 && isBefore(entry, heap[parent]!); parent = (at - 1) >> 1) {
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = entry;
}
function pop(heap: Waiting[]): void {
  const last = heap.pop();
  if (!last || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (child >= heap.length || !isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
}

const pauseMs = (attempts: number): number => Math.min(backoffMs.first * 2 ** (attempts - 1), backoffMs.most);
