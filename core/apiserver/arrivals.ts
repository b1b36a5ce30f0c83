import type { Clock } from '#base';

const lookEveryMs = 500;

/** A body that a listener waits for. */
export class Arrival {
  #whenLate: (() => void) | undefined;
  #ended = false;

  constructor(
    readonly dueMs: number,
    private readonly unlimited: () => void,
  ) {}
  get ended(): boolean {
    return this.#ended;
  }
  /** Called when it should have come and has not; at most once. */
  onLate(whenLate: () => void): void {
    this.#whenLate = whenLate;
  }
  /** It has come whole, or is a stream of its own: from now on there is no limit. */
  done(): void {
    this.end();
    this.unlimited();
  }
  end(): void {
    this.#ended = true;
    this.#whenLate = undefined;
  }
  expire(): void {
    const late = this.#whenLate;
    this.end();
    late?.();
  }
}

/**
 * Deadlines of all bodies under way. They are all equally long, so one queue and one look every half second serve them: a timer,
 * an abort signal and their promises for each request cost as much as parsing its body.
 */
export class Arrivals {
  /** By deadline; the ended ones in front are dropped with every look. */
  #queue: Arrival[] = [];
  #looking = false;
  readonly #stop = new AbortController();

  constructor(
    private readonly clock: Clock,
    private readonly limitMs: number,
  ) {}

  /** `unlimited` is called when the body is there. */
  add(unlimited: () => void): Arrival {
    const arrival = new Arrival(this.clock.monotonicMs() + this.limitMs, unlimited);
    this.#queue.push(arrival);
    if (!this.#looking) void this.#look();
    return arrival;
  }
  stop(): void {
    this.#stop.abort();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    while (this.#queue.length > 0 && !this.#stop.signal.aborted) {
      await this.clock.sleep(lookEveryMs, this.#stop.signal);
      const nowMs = this.clock.monotonicMs();
      for (const arrival of this.#queue) {
        if (arrival.dueMs > nowMs) break;
        if (!arrival.ended) arrival.expire();
      }
      this.#queue = this.#queue.filter((arrival) => !arrival.ended);
    }
    this.#looking = false;
  }
}
