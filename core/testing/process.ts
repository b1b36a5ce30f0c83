import { type Clock, type Log, type Random, seededRandom } from '#base';
import type { Timeline } from './timeline.ts';

/** Never settles: what a killed process waits for. */
export const never = <T>(): Promise<T> => new Promise<T>(() => {});

/** A generator of its own for each purpose, so that one more draw here changes nothing there. */
export function fork(seed: number, name: string): Random {
  let mixed = seed >>> 0;
  for (const character of name) mixed = (Math.imul(mixed ^ character.charCodeAt(0), 0x01000193) + 0x9e3779b9) >>> 0;
  return seededRandom(mixed);
}

/** One life of a simulated process. After `kill` nothing that it waits for ever comes back: its memory is gone. */
export class SimProcess {
  readonly clock: Clock;
  readonly #hooks = new Set<() => void>();
  #alive = true;

  constructor(
    readonly name: string,
    /** Counts the lives of this name from 1. */
    readonly life: number,
    timeline: Timeline,
    readonly random: Random,
    readonly log: Log,
    skewMs: () => number = () => 0,
  ) {
    this.clock = timeline.clock(() => this.#alive, skewMs);
  }
  get alive(): boolean {
    return this.#alive;
  }
  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const hook of [...this.#hooks]) hook();
    this.#hooks.clear();
  }
  /** Runs when the process dies: the kernel closes what it had open. The answer takes it back. */
  onKill(hook: () => void): () => void {
    this.#hooks.add(hook);
    return () => void this.#hooks.delete(hook);
  }
  /** The same outcome, unless the process is dead by then. */
  guard<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(
        (value) => this.#alive && resolve(value),
        (error) => this.#alive && reject(error),
      );
    });
  }
  async *guardEach<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
    const iterator = source[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await this.guard(iterator.next());
        if (done) return;
        yield value;
      }
    } finally {
      void iterator.return?.();
    }
  }
}
