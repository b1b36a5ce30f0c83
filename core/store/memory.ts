import type { ResourceVersion } from '../api/meta.ts';
import { checkKey, checkValue, compareKeys } from './key.ts';
import { expired, refusals, refuse, tooNew } from './refusal.ts';
import type { Entry, Page, Store, StoreEvent, Turn } from './store.ts';
import { Turns } from './turns.ts';
import { nextEpoch, versionNumber, versionText } from './version.ts';
import { closedError, WatchHub } from './watch-hub.ts';

export interface MemoryStoreOptions {
  /** History kept for watches; the oldest is compacted beyond it. Default 100,000. */
  readonly logEventsMax?: number;
}
interface LogRow {
  readonly version: number;
  readonly key: string;
  readonly entry: Entry | undefined;
  readonly previous: Entry | undefined;
}

/** Nothing survives the process: for tests, the simulator and throw-away clusters. */
export const createMemoryStore = async (options: MemoryStoreOptions = {}): Promise<Store> => new MemoryStore(options);

class MemoryStore implements Store {
  readonly shared = false;
  readonly #entries = new Map<string, Entry>();
  readonly #keys: string[] = [];
  readonly #turns = new Turns();
  readonly #logEventsMax: number;
  #log: LogRow[] = [];
  #version = 0;
  #compacted = 0;
  #closed = false;
  readonly #hub = new WatchHub(async (prefix, since, eventsMax) => this.#readLog(prefix, since, eventsMax), 0);

  constructor(options: MemoryStoreOptions) {
    this.#logEventsMax = options.logEventsMax ?? 100_000;
  }

  async create(key: string, value: Uint8Array, turn?: Turn): Promise<Entry> {
    const write = async () => this.#write('create', key, value, undefined);
    return turn ? this.#turns.take(turn, key, write) : write();
  }
  async update(key: string, value: Uint8Array, expected: ResourceVersion | undefined): Promise<Entry> {
    return this.#write('update', key, value, expected);
  }
  async delete(key: string, expected: ResourceVersion | undefined): Promise<Entry> {
    return this.#write('delete', key, undefined, expected);
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#assertOpen();
    return this.#entries.get(key);
  }

  async list(prefix: string, page?: Page): Promise<{ entries: Entry[]; version: ResourceVersion; more: boolean }> {
    this.#assertOpen();
    const at = page?.at === undefined ? this.#version : versionNumber(page.at);
    if (at > this.#version) throw tooNew(page!.at!, String(this.#version));
    if (at < this.#compacted) throw expired(page!.at!, String(this.#compacted));
    const after = page?.after;
    const wanted = (key: string) => key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0);
    const limit = page?.limit ?? Number.POSITIVE_INFINITY;
    const found: Entry[] = [];
    if (at === this.#version) {
      const start = after !== undefined && compareKeys(after, prefix) > 0 ? after : prefix;
      for (let index = this.#position(start); index < this.#keys.length && found.length <= limit; index++) {
        const key = this.#keys[index]!;
        if (wanted(key)) found.push(this.#entries.get(key)!);
        else if (!key.startsWith(prefix)) break;
      }
    } else found.push(...this.#stateAt(at).filter((entry) => wanted(entry.key)));
    const more = found.length > limit;
    return { entries: more ? found.slice(0, limit) : found, version: versionText(at), more };
  }

  watch(prefix: string, since: ResourceVersion, signal: AbortSignal): AsyncIterable<StoreEvent> {
    return this.#hub.watch(prefix, since, signal);
  }

  async version(): Promise<ResourceVersion> {
    this.#assertOpen();
    return versionText(this.#version);
  }

  async compact(before: ResourceVersion): Promise<void> {
    this.#assertOpen();
    const bound = Math.min(versionNumber(before), this.#version);
    if (bound <= this.#compacted) return;
    this.#compacted = bound;
    this.#log = this.#log.slice(this.#logIndex(bound));
  }

  async newEpoch(above: ResourceVersion = versionText(0)): Promise<ResourceVersion> {
    this.#assertOpen();
    this.#version = nextEpoch(this.#version, versionNumber(above));
    this.#compacted = this.#version;
    this.#log = [];
    this.#hub.restart(expired('the watch', String(this.#version)), this.#version);
    return versionText(this.#version);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#hub.fail(closedError());
  }

  #write(verb: 'create' | 'update' | 'delete', key: string, value: Uint8Array | undefined, expected?: ResourceVersion) {
    this.#assertOpen();
    checkKey(key);
    if (value) checkValue(value);
    const previous = this.#entries.get(key);
    const wanted = expected === undefined ? undefined : versionNumber(expected);
    const refusal = refuse(verb, previous && versionNumber(previous.version), wanted);
    if (refusal) throw refusals[refusal](key);
    const version = versionText(++this.#version);
    const entry = value && { key, value, version };
    if (entry) {
      if (!previous) this.#keys.splice(this.#position(key), 0, key);
      this.#entries.set(key, entry);
    } else {
      this.#keys.splice(this.#position(key), 1);
      this.#entries.delete(key);
    }
    const row = { version: this.#version, key, entry, previous };
    this.#log.push(row);
    // A quarter at a time, so that the cost per write stays constant.
    if (this.#log.length > this.#logEventsMax * 1.25)
      void this.compact(versionText(this.#log[this.#log.length - this.#logEventsMax - 1]!.version));
    this.#hub.publish([eventOf(row)], this.#version);
    return entry ?? { ...previous!, version };
  }

  /** The first index whose key is not below `key`. */
  #position(key: string): number {
    return lowerBound(this.#keys.length, (index) => compareKeys(this.#keys[index]!, key) < 0);
  }
  #logIndex(since: number): number {
    return lowerBound(this.#log.length, (index) => this.#log[index]!.version <= since);
  }

  /** What is current and was so then, and what the first later change of a key replaced. */
  #stateAt(at: number): Entry[] {
    const state = [...this.#entries.values()].filter((entry) => versionNumber(entry.version) <= at);
    for (const { previous } of this.#log.slice(this.#logIndex(at)))
      if (previous && versionNumber(previous.version) <= at) state.push(previous);
    return state.sort((a, b) => compareKeys(a.key, b.key));
  }

  #readLog(prefix: string, since: number, eventsMax: number): { events: StoreEvent[]; through: number } {
    if (since < this.#compacted) throw expired(String(since), String(this.#compacted));
    const events: StoreEvent[] = [];
    for (let index = this.#logIndex(since); index < this.#log.length; index++) {
      const row = this.#log[index]!;
      if (!row.key.startsWith(prefix)) continue;
      if (events.push(eventOf(row)) === eventsMax) return { events, through: row.version };
    }
    return { events, through: this.#version };
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError();
  }
}

const eventOf = ({ version, entry, previous }: LogRow): StoreEvent =>
  entry ? { type: 'put', entry, previous } : { type: 'delete', previous: previous!, version: versionText(version) };

function lowerBound(length: number, below: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (below(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
