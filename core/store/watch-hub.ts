import type { ResourceVersion } from '../api/meta.ts';
import { errors } from '../api/status.ts';
import type { StoreEvent } from './store.ts';
import { versionNumber, versionText } from './version.ts';

export const watchBufferEventsMax = 1024;
export const watchBufferBytesMax = 8 * 1024 * 1024;
export const catchUpEventsMax = 500;

/** Events of one prefix after `since`, oldest first. `through`: nothing of the prefix at or below it is missing. Throws Expired. */
export type ReadLog = (
  prefix: string,
  since: number,
  eventsMax: number,
) => Promise<{ events: StoreEvent[]; through: number }>;

interface Watcher {
  readonly prefix: string;
  /** Everything of the prefix at or below this was handed out or lies in `queue`. */
  position: number;
  queue: StoreEvent[];
  queueBytes: number;
  /** Not fed by `publish`: reads the log until it has caught up. */
  behind: boolean;
  wake: () => void;
  failure?: Error;
}

const versionOf = (event: StoreEvent): number =>
  versionNumber(event.type === 'put' ? event.entry.version : event.version);
const keyOf = (event: StoreEvent): string =>
  event.type === 'put' ? event.entry.key : event.type === 'delete' ? event.previous.key : '';
const bytesOf = (event: StoreEvent): number => (event.type === 'put' ? event.entry.value.byteLength : 0) + 256;

/**
 * Serves watches from committed batches. A watcher that falls behind its bound loses its buffer, not its place:
 * it reads the log from where it stands and joins the live stream again. There is never a gap, and memory is bounded.
 */
export class WatchHub {
  readonly #watchers = new Set<Watcher>();
  #failure: Error | undefined;

  constructor(
    private readonly readLog: ReadLog,
    /** The newest committed version; raised by `publish` only. */
    public version: number,
  ) {}

  /** Committed events in order, and the version they lead to. */
  publish(events: readonly StoreEvent[], version: number): void {
    this.version = version;
    for (const watcher of this.#watchers) {
      if (!watcher.behind) this.#feed(watcher, events, version);
      watcher.wake();
    }
  }

  /** Ends every watch with this error, now and later. */
  fail(error: Error): void {
    this.#failure ??= error;
    for (const watcher of this.#watchers) watcher.wake();
  }

  /** Ends the watches of now with this error and goes on from `version`: the stream that fed them has lost its place. */
  restart(error: Error, version: number): void {
    this.version = version;
    for (const watcher of this.#watchers) {
      watcher.failure = error;
      watcher.wake();
    }
  }

  async *watch(prefix: string, since: ResourceVersion, signal: AbortSignal): AsyncGenerator<StoreEvent> {
    let wake = Promise.withResolvers<void>();
    const watcher: Watcher = {
      prefix,
      position: versionNumber(since),
      queue: [],
      queueBytes: 0,
      behind: true,
      wake: () => wake.resolve(),
    };
    let told = watcher.position;
    this.#watchers.add(watcher);
    signal.addEventListener('abort', watcher.wake);
    try {
      for (;;) {
        if (this.#failure ?? watcher.failure) throw this.#failure ?? watcher.failure;
        if (signal.aborted) return;
        const batch = watcher.behind ? await this.#catchUp(watcher) : this.#take(watcher);
        const position = watcher.position;
        for (const event of batch) {
          if (signal.aborted) return;
          yield event;
        }
        if (batch.length > 0) told = versionOf(batch[batch.length - 1]!);
        if (watcher.behind || watcher.queue.length > 0) continue;
        if (told < position && position === watcher.position) {
          told = position; // one progress stands for any number of commits elsewhere
          yield { type: 'progress', version: versionText(position) };
          continue;
        }
        if (told < watcher.position || watcher.behind || this.#failure || watcher.failure || signal.aborted) continue;
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    } finally {
      signal.removeEventListener('abort', watcher.wake);
      this.#watchers.delete(watcher);
    }
  }

  #feed(watcher: Watcher, events: readonly StoreEvent[], version: number): void {
    for (const event of events) {
      if (versionOf(event) <= watcher.position || !keyOf(event).startsWith(watcher.prefix)) continue;
      watcher.queue.push(event);
      watcher.queueBytes += bytesOf(event);
      if (watcher.queue.length > watchBufferEventsMax || watcher.queueBytes > watchBufferBytesMax) {
        // Back to the log, from the last event that was handed out.
        watcher.position = versionOf(watcher.queue[0]!) - 1;
        watcher.queue = [];
        watcher.queueBytes = 0;
        watcher.behind = true;
        return;
      }
    }
    watcher.position = Math.max(watcher.position, version);
  }

  #take(watcher: Watcher): StoreEvent[] {
    const batch = watcher.queue;
    watcher.queue = [];
    watcher.queueBytes = 0;
    return batch;
  }

  async #catchUp(watcher: Watcher): Promise<StoreEvent[]> {
    const page = await this.readLog(watcher.prefix, watcher.position, catchUpEventsMax);
    watcher.position = Math.max(watcher.position, page.through);
    // No await between this comparison and the return: the next publish feeds the watcher.
    if (watcher.position >= this.version) watcher.behind = false;
    return page.events;
  }
}

export const closedError = () => errors.unavailable('the store is closed');
