import type { ResourceVersion } from '#api';
import type { Entry, Page, Store, StoreEvent, Turn } from '../../store/store.ts';
import type { RootKeys } from './root-keys.ts';
import { seal, sealedWith, unseal } from './seal.ts';

/**
 * A store whose values below one prefix are sealed on their way in and opened on their way out; above it nothing changes.
 * What cannot be opened (its key is lost, its bytes are damaged) comes out sealed as it is: see `sealedWith`.
 */
export class SealedStore implements Store {
  readonly shared: boolean;

  constructor(
    private readonly inner: Store,
    private readonly prefix: string,
    private readonly keys: RootKeys,
  ) {
    this.shared = inner.shared;
  }
  async create(key: string, value: Uint8Array, turn?: Turn): Promise<Entry> {
    return this.#open(await this.inner.create(key, this.#seal(key, value), turn));
  }
  async update(key: string, value: Uint8Array, expected: ResourceVersion | undefined): Promise<Entry> {
    return this.#open(await this.inner.update(key, this.#seal(key, value), expected));
  }
  async delete(key: string, expected: ResourceVersion | undefined): Promise<Entry> {
    return this.#open(await this.inner.delete(key, expected));
  }
  async get(key: string): Promise<Entry | undefined> {
    const entry = await this.inner.get(key);
    return entry && this.#open(entry);
  }
  async list(prefix: string, page?: Page) {
    const answer = await this.inner.list(prefix, page);
    return this.#isOutside(prefix) ? answer : { ...answer, entries: answer.entries.map((entry) => this.#open(entry)) };
  }
  async *watch(prefix: string, since: ResourceVersion, signal: AbortSignal): AsyncIterable<StoreEvent> {
    for await (const event of this.inner.watch(prefix, since, signal)) yield this.#openEvent(event);
  }
  version(): Promise<ResourceVersion> {
    return this.inner.version();
  }
  compact(before: ResourceVersion): Promise<void> {
    return this.inner.compact(before);
  }
  newEpoch(above?: ResourceVersion): Promise<ResourceVersion> {
    return this.inner.newEpoch(above);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.inner[Symbol.asyncDispose]();
  }

  /** True when nothing under `prefix` can be sealed. */
  #isOutside(prefix: string): boolean {
    return !prefix.startsWith(this.prefix) && !this.prefix.startsWith(prefix);
  }
  #seal(key: string, value: Uint8Array): Uint8Array {
    return key.startsWith(this.prefix) ? seal(this.keys.first(), key, value) : value;
  }
  #open(entry: Entry): Entry {
    if (entry.value[0] !== 0 || !entry.key.startsWith(this.prefix)) return entry;
    const id = sealedWith(entry.value);
    const root = id ? this.keys.byId(id) : undefined;
    const value = root && unseal(root, entry.key, entry.value);
    return value ? { ...entry, value } : entry;
  }
  #openEvent(event: StoreEvent): StoreEvent {
    if (event.type === 'progress') return event;
    const key = event.type === 'put' ? event.entry.key : event.previous.key;
    if (!key.startsWith(this.prefix)) return event;
    const previous = event.previous && this.#open(event.previous);
    if (event.type === 'put') return { ...event, entry: this.#open(event.entry), previous };
    return { ...event, previous: previous! };
  }
}
