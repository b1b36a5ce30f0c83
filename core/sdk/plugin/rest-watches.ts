import type { Clock } from '#base';
import { RefusalError, type RefusalFacts, type RestEvent, type RestKind, type RestWatchCall } from './rest.ts';

/** Of one plugin, in all API servers. Each that waits takes one call of the channel. */
export const restWatchesMax = 128;
/** What waits for a reader. A plugin's iterator is not asked for more than that. */
const waitingEventsMax = 1_024;
const batchEventsMax = 256;
const batchCharactersMax = 1024 * 1024;
/** An ask without events is answered after this. */
export const watchHoldMs = 10_000;
/** A watch that nobody asks for events is ended: its reader is too slow, or its API server has gone. */
const leaseMs = 30_000;

/** What a watch has for its reader. `over`: there is no more; with `refused`: for this reason. */
export interface WatchBatch {
  readonly events: readonly RestEvent[];
  readonly over?: true;
  readonly refused?: RefusalFacts;
}
const unknownWatch: WatchBatch = {
  events: [],
  over: true,
  refused: { code: 410, reason: 'Expired', message: 'this watch has ended: list again' },
};

/** The watches of kinds that a plugin answers itself. Their readers fetch the events, so that a slow one holds nobody up. */
export class RestWatches implements Disposable {
  readonly #open = new Map<string, OneWatch>();
  constructor(private readonly clock: Clock) {}

  /** Throws for one too many, and for a kind that cannot be watched. */
  open(id: string, kind: RestKind, call: RestWatchCall): void {
    if (!kind.watch) throw new Error(`${kind.kind} has no watch`);
    if (this.#open.size >= restWatchesMax)
      throw new RefusalError(429, 'TooManyRequests', `more than ${restWatchesMax} watches of this plugin`);
    const watch = new OneWatch(this.clock, () => this.#open.delete(id));
    this.#open.set(id, watch);
    watch.run((signal) => kind.watch!({ ...call, signal }));
  }
  next(id: string): Promise<WatchBatch> {
    return this.#open.get(id)?.next() ?? Promise.resolve(unknownWatch);
  }
  close(id: string): void {
    this.#open.get(id)?.end();
  }
  get size(): number {
    return this.#open.size;
  }
  [Symbol.dispose](): void {
    for (const watch of [...this.#open.values()]) watch.end();
  }
}

class OneWatch {
  readonly #over = new AbortController();
  readonly #waiting: RestEvent[] = [];
  #isDone = false;
  #refused: RefusalFacts | undefined;
  #changed = Promise.withResolvers<void>();
  #askedMs: number;

  constructor(
    private readonly clock: Clock,
    private readonly onEnd: () => void,
  ) {
    this.#askedMs = clock.monotonicMs();
  }
  run(open: (signal: AbortSignal) => AsyncIterable<RestEvent>): void {
    void this.#pump(open);
    void this.#keepLease();
  }
  async next(): Promise<WatchBatch> {
    this.#askedMs = this.clock.monotonicMs();
    const hold = new AbortController();
    const late = this.clock.sleep(watchHoldMs, hold.signal);
    let isLate = false;
    void late.then(() => (isLate = true));
    while (this.#waiting.length === 0 && !this.#isDone && !isLate) await Promise.race([this.#changed.promise, late]);
    hold.abort();
    this.#askedMs = this.clock.monotonicMs();
    const events = this.#take();
    if (!this.#isDone || this.#waiting.length > 0) return { events };
    this.onEnd();
    return { events, over: true, ...(this.#refused ? { refused: this.#refused } : {}) };
  }
  end(): void {
    this.#over.abort();
    this.#waiting.length = 0;
    this.#finish();
    this.onEnd();
  }

  async #pump(open: (signal: AbortSignal) => AsyncIterable<RestEvent>): Promise<void> {
    const { signal } = this.#over;
    try {
      for await (const event of open(signal)) {
        if (signal.aborted) return;
        this.#waiting.push(event);
        this.#change();
        while (this.#waiting.length >= waitingEventsMax && !signal.aborted) await this.#changed.promise;
      }
    } catch (error) {
      this.#refused = refusalOf(error);
    } finally {
      this.#finish();
    }
  }
  #take(): RestEvent[] {
    let count = 0;
    for (let characters = 0; count < this.#waiting.length && count < batchEventsMax; count++) {
      characters += JSON.stringify(this.#waiting[count]).length;
      if (count > 0 && characters > batchCharactersMax) break;
    }
    const taken = this.#waiting.splice(0, count);
    if (taken.length > 0) this.#change();
    return taken;
  }
  async #keepLease(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      const leftMs = this.#askedMs + leaseMs - this.clock.monotonicMs();
      if (leftMs <= 0) return this.end();
      await this.clock.sleep(leftMs, signal);
    }
  }
  #finish(): void {
    this.#isDone = true;
    this.#change();
  }
  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** What a plugin threw, as its client shall see it: its own refusal, or a failure. Pure. */
export function refusalOf(error: unknown): RefusalFacts {
  const message = (error instanceof Error ? error.message : String(error)).slice(0, 2_048);
  return error instanceof RefusalError
    ? { code: error.code, reason: error.reason, message }
    : { code: 500, reason: 'InternalError', message };
}
