import { AssertionError, assert, type Clock } from '#base';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  fire: (() => void) | undefined;
}
/** Simulated time begins here: 2030-01-01T00:00:00Z. */
export const epochMs = 1_893_456_000_000;
const timersMax = 1_000_000;

/** Virtual time: timers in order of their time, then of their making. Nothing else makes simulated code wait. */
export class Timeline {
  /** Milliseconds since the start; may have a fraction. */
  nowMs = 0;
  /** Timers fired so far. */
  fired = 0;
  #heap: Timer[] = [];
  #order = 0;
  #cancelled = 0;

  /** Calls `fire` after so long. The answer takes it back. */
  after(ms: number, fire: () => void): () => void {
    assert(this.#heap.length < timersMax, 'too many simulated timers');
    const timer: Timer = { atMs: this.nowMs + Math.max(0, ms), order: this.#order++, fire };
    push(this.#heap, timer);
    return () => {
      if (!timer.fire) return;
      timer.fire = undefined;
      this.#cancelled++;
      if (this.#cancelled > 1_000 && this.#cancelled > this.#heap.length / 2) this.#compact();
    };
  }
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** A clock whose waits never end once `isAlive` says no: the code behind it has been killed. */
  clock(isAlive: () => boolean, skewMs: () => number = () => 0): Clock {
    return {
      now: () => Math.floor(epochMs + this.nowMs + skewMs()),
      monotonicMs: () => this.nowMs,
      soon: () => this.#wait(0, undefined, isAlive),
      sleep: (ms, signal) => this.#wait(ms, signal, isAlive),
    };
  }
  #wait(ms: number, signal: AbortSignal | undefined, isAlive: () => boolean): Promise<void> {
    if (!isAlive()) return new Promise(() => {});
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = () => {
        cancel();
        signal?.removeEventListener('abort', finish);
        if (isAlive()) resolve();
      };
      const cancel = this.after(ms, finish);
      signal?.addEventListener('abort', finish, { once: true });
    });
  }

  /** Lets every microtask settle, then fires the next timer that is due by `untilMs`. False when there is none. */
  async step(untilMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    await settled();
    for (let next = this.#heap[0]; next && next.atMs <= untilMs; next = this.#heap[0]) {
      pop(this.#heap);
      const { fire } = next;
      if (!fire) {
        this.#cancelled--;
        continue;
      }
      next.fire = undefined;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.fired++;
      fire();
      return true;
    }
    return false;
  }
  /** Fires everything that is due within `ms`, and ends exactly there. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    while (await this.step(untilMs));
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  #compact(): void {
    const live = this.#heap.filter(({ fire }) => fire);
    this.#heap = [];
    this.#cancelled = 0;
    for (const timer of live) push(this.#heap, timer);
  }
}

/** One macrotask: all microtasks run before it, and simulated code waits for nothing else. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const before = (left: Timer, right: Timer): boolean =>
  left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);

function push(heap: Timer[], timer: Timer): void {
  let index = heap.push(timer) - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!before(timer, heap[parent]!)) break;
    heap[index] = heap[parent]!;
    index = parent;
  }
  heap[index] = timer;
}
function pop(heap: Timer[]): void {
  const last = heap.pop();
  if (!last) throw new AssertionError('no timer');
  if (heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = index * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[index] = heap[child]!;
    index = child;
  }
  heap[index] = last;
}
