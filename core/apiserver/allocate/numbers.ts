import type { Random } from '#base';

/** Both ends inclusive. */
export interface Numbers {
  readonly first: number;
  readonly last: number;
}

/** Which numbers of a range are taken. Synchronous: between the look and the taking there is no other turn. */
export class NumberPool {
  readonly #taken = new Set<number>();
  constructor(
    readonly range: Numbers,
    private readonly random: Random,
  ) {}
  holds(value: number): boolean {
    return value >= this.range.first && value <= this.range.last;
  }
  /** False when somebody has it. */
  take(value: number): boolean {
    if (this.#taken.has(value)) return false;
    this.#taken.add(value);
    return true;
  }
  /** A free one from a random place on, below the kept ones only when the others are gone; undefined when the range is full. */
  takeAny(): number | undefined {
    const { first, last } = this.range;
    const dynamicFrom = first + keptForPeople(last - first + 1);
    return this.#anyOf(dynamicFrom, last) ?? this.#anyOf(first, dynamicFrom - 1);
  }
  #anyOf(first: number, last: number): number | undefined {
    const size = last - first + 1;
    const start = Math.floor(this.random.next() * size);
    for (let step = 0; step < size; step++) {
      const value = first + ((start + step) % size);
      if (this.take(value)) return value;
    }
    return undefined;
  }
  give(value: number): void {
    this.#taken.delete(value);
  }
}

/** Numbers that are not given out unasked while others are free: upstream keeps so many of the node ports for people. */
const keptForPeople = (size: number): number => (size <= 16 ? 0 : Math.min(Math.max(Math.floor(size / 32), 16), 128));
