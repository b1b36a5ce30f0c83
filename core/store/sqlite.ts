import type { Clock, Log } from '#base';
import type { ResourceVersion } from '../api/meta.ts';
import { errors, StatusError } from '../api/status.ts';
import { ballastBytes } from './ballast.ts';
import { checkKey, checkValue } from './key.ts';
import { expired, refusals } from './refusal.ts';
import type { WriteOperation, WriteResult } from './sqlite-database.ts';
import { unpackRows } from './sqlite-message.ts';
import type { Row } from './sqlite-row.ts';
import { SqliteThread } from './sqlite-thread.ts';
import type { Entry, Page, Store, StoreEvent, Turn } from './store.ts';
import { Turns } from './turns.ts';
import { versionNumber, versionText } from './version.ts';
import { closedError, WatchHub, watchBufferBytesMax } from './watch-hub.ts';

export interface SqliteStoreOptions {
  /** The database file. Its folder must exist; `-wal` and `.ballast` files appear beside it. */
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
}

const batchOperationsMax = 512;
const batchBytesMax = 8 * 1024 * 1024;
const queuedOperationsMax = 10_000;
const queuedBytesMax = 64 * 1024 * 1024;

interface Queued extends WriteOperation {
  resolve(entry: Entry): void;
  reject(error: Error): void;
}

/** Throws PintleError STORE_LOCKED, STORE_DAMAGED, STORE_FORMAT or STORE_OPEN. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const store = new SqliteStore(options);
  await store.open();
  return store;
}

/**
 * One file, one thread, one batch in flight. Writes that arrive while a batch is being synced form the next one (group commit),
 * so the number of fsyncs follows the disk and not the number of writers.
 */
class SqliteStore implements Store {
  readonly shared = false;
  readonly #thread: SqliteThread;
  readonly #hub: WatchHub;
  readonly #turns = new Turns();
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #writing: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(private readonly options: SqliteStoreOptions) {
    this.#hub = new WatchHub((prefix, since, rowsMax) => this.#readLog(prefix, since, rowsMax), 0);
    this.#thread = new SqliteThread((error) => {
      if (!this.#closed) options.log.error('the store thread ended', { error });
      this.#hub.fail(error);
    });
  }

  async open(): Promise<void> {
    try {
      const { version } = await this.#thread.ask({ type: 'open', path: this.options.path });
      this.#hub.publish([], version);
    } catch (error) {
      this.#closed = this.#thread.close();
      await this.#closed;
      throw error;
    }
  }

  create(key: string, value: Uint8Array, turn?: Turn): Promise<Entry> {
    const write = () => this.#write('create', key, value, undefined);
    return turn ? this.#turns.take(turn, key, write) : write();
  }
  update(key: string, value: Uint8Array, expected: ResourceVersion | undefined): Promise<Entry> {
    return this.#write('update', key, value, expected);
  }
  delete(key: string, expected: ResourceVersion | undefined): Promise<Entry> {
    return this.#write('delete', key, undefined, expected);
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#assertOpen();
    const { packed } = await this.#thread.ask({ type: 'get', key });
    const row = unpackRows(packed!).rows[0];
    return row && entryOf(row);
  }

  async list(prefix: string, page?: Page): Promise<{ entries: Entry[]; version: ResourceVersion; more: boolean }> {
    this.#assertOpen();
    const at = page?.at === undefined ? undefined : versionNumber(page.at);
    const { packed } = await this.#thread.ask({ type: 'list', prefix, after: page?.after, limit: page?.limit, at });
    const { rows, through } = unpackRows(packed!);
    const more = page !== undefined && rows.length > page.limit;
    if (more) rows.pop();
    return { entries: rows.map(entryOf), version: versionText(through), more };
  }

  watch(prefix: string, since: ResourceVersion, signal: AbortSignal): AsyncIterable<StoreEvent> {
    return this.#hub.watch(prefix, since, signal);
  }

  /** This process is the only writer, so what it has committed is the newest there is. */
  async version(): Promise<ResourceVersion> {
    this.#assertOpen();
    return versionText(this.#hub.version);
  }

  async compact(before: ResourceVersion): Promise<void> {
    this.#assertOpen();
    for (let more = true; more && !this.#closed; ) {
      const { packed } = await this.#thread.ask({ type: 'compact', before: versionNumber(before) });
      more = unpackRows(packed!).through > 0;
    }
  }

  async newEpoch(above: ResourceVersion = versionText(0)): Promise<ResourceVersion> {
    this.#assertOpen();
    await this.#writing;
    const { version } = await this.#thread.ask({ type: 'epoch', above: versionNumber(above) });
    this.#hub.restart(expired('the watch', String(version)), version);
    return versionText(version);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#hub.fail(closedError());
    await this.#writing; // what was accepted before is still written
    await this.#thread.close();
  }

  #write(
    verb: WriteOperation['verb'],
    key: string,
    value: Uint8Array | undefined,
    expected?: ResourceVersion,
  ): Promise<Entry> {
    return new Promise((resolve, reject) => {
      this.#assertOpen();
      checkKey(key);
      if (value) checkValue(value);
      const bytes = value?.byteLength ?? 0;
      if (this.#queue.length >= queuedOperationsMax || this.#queuedBytes + bytes > queuedBytesMax)
        throw errors.tooManyRequests('the store has too many writes waiting for the disk; nothing was written', 1);
      this.#queuedBytes += bytes;
      const wanted = expected === undefined ? undefined : versionNumber(expected);
      this.#queue.push({ verb, key, value, expected: wanted, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  /** Runs while there is something to write. */
  async #drain(): Promise<void> {
    await Promise.resolve(); // writers of the same turn share the first batch
    while (this.#queue.length > 0) await this.#commit(this.#takeBatch());
    this.#writing = undefined;
  }

  #takeBatch(): Queued[] {
    let count = 0;
    let bytes = 0;
    while (count < this.#queue.length && count < batchOperationsMax) {
      bytes += this.#queue[count]!.value?.byteLength ?? 0;
      if (count > 0 && bytes > batchBytesMax) break;
      count++;
    }
    const batch = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    this.#queuedBytes -= batch.reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0);
    return batch;
  }

  async #commit(batch: readonly Queued[]): Promise<void> {
    let results: WriteResult[];
    let version: number;
    try {
      ({ results, version } = await this.#thread.write(batch, this.options.clock.monotonicMs()));
    } catch (error) {
      for (const { reject } of batch) reject(error as Error);
      return;
    }
    const events: StoreEvent[] = [];
    batch.forEach((operation, index) => {
      const result = results[index]!;
      if ('refusal' in result) {
        operation.reject(result.refusal === 'Full' ? full(this.options.path) : refusals[result.refusal](operation.key));
        return;
      }
      const event = eventOf(result.row);
      events.push(event);
      operation.resolve(event.type === 'put' ? event.entry : { ...event.previous, version: event.version });
    });
    this.#hub.publish(events, version); // before the writers run on: whoever wrote also sees it
  }

  async #readLog(prefix: string, since: number, rowsMax: number): Promise<{ events: StoreEvent[]; through: number }> {
    const bytesMax = watchBufferBytesMax;
    const { packed } = await this.#thread.ask({ type: 'changes', prefix, since, rowsMax, bytesMax });
    const { rows, through } = unpackRows(packed!);
    return { events: rows.map(eventOf), through };
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError();
  }
}

const full = (path: string) =>
  new StatusError(
    507,
    'InsufficientStorage',
    `the disk of ${path} is full: nothing was written; reads and deletions go on, writes when at least ${ballastBytes >> 20} MiB are free again`,
  );

const entryOf = ({ key, value, version }: Row): Entry => ({ key, value: value!, version: versionText(version) });

type Change = Exclude<StoreEvent, { type: 'progress' }>;
function eventOf(row: Row): Change {
  const { key, previousValue } = row;
  const previous = previousValue && { key, value: previousValue, version: versionText(row.previous) };
  return row.value
    ? { type: 'put', entry: entryOf(row), previous }
    : { type: 'delete', previous: previous!, version: versionText(row.version) };
}
