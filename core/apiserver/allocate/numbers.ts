import type { Random } from '#base';
import type { Range } from './range.ts';

/** Which numbers of a range are taken. Synchronous: between the look and the taking there is no other turn. */
export class NumberPool {
  readonly #taken = new Set<number>();
  constructor(
    readonly range: Range,
    private readonly random: Random,
  ) {}
  /** False when somebody has it. */
  take(value: number): boolean {
    if (this.#taken.has(value)) return false;
    this.#taken.add(value);
    return true;
  }
  /** A free one from a random place on; undefined when the range is full. The first number is never given out unasked. */
  takeAny(): number | undefined {
    const size = this.range.last - this.range.first + 1;
    const start = Math.floor(this.random.next() * size);
    for (let step = 0; step < size; step++) {
      const value = this.range.first + ((start + step) % size);
      if (value !== this.range.first && this.take(value)) return value;
    }
    return undefined;
  }
  give(value: number): void {
    this.#taken.delete(value);
  }
  get taken(): number {
    return this.#taken.size;
  }
}
