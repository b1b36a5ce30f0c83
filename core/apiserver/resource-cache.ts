import { compareVersions, type ResourceVersion } from '#api';
import type { Entry, StoreEvent } from '../store/store.ts';
import { CachedObject, localKey, prefixOf } from './cached-object.ts';
import type { AnyObject, ServedKind } from './contract.ts';
import { DecodedPool } from './decoded-pool.ts';
import { equals, type Selection } from './selection.ts';

/** How far back a watch can resume from memory. */
export const ringEventsMax = 2048;
/** Fields with an index of their own: a node asks for its pods all the time. */
const indexedFields: Readonly<Record<string, string>> = { pods: 'spec.nodeName' };

export interface CacheEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** For DELETED the last state, under the version of the deletion. */
  readonly object: CachedObject;
  readonly previous?: CachedObject;
  readonly version: ResourceVersion;
}
export interface EventSink {
  /** Synchronous and quick; must not throw. */
  onEvent(event: CacheEvent): void;
  /** The events of one turn of the loop have come: writes that were committed together leave together. */
  onTurn?(): void;
  onBookmark(version: ResourceVersion): void;
  /** The history was lost: the watch must end with 410. */
  onLost(): void;
}
/** Of JSON: what was updated lately stays decoded, for much of it is written again soon. Creations are not worth their memory. */
const recentBytesMax = 1024 * 1024;

interface Expected {
  readonly bytes: Uint8Array;
  readonly object: Readonly<AnyObject>;
  /** Nobody will change the object after the write. */
  readonly isOurs: boolean;
}
interface Bucket {
  readonly objects: Map<string, CachedObject>;
  sorted: CachedObject[] | undefined;
}

/** Everything known of one kind: current states by namespace, an index, a ring of recent events and who listens. */
export class ResourceCache {
  readonly prefix: string;
  readonly sinks = new Set<EventSink>();
  readonly #decoded: DecodedPool;
  readonly #recent = new DecodedPool(recentBytesMax);
  readonly #buckets = new Map<string, Bucket>();
  /** What is stored and cannot be opened, by local key. It is in no list, no index and no event. */
  readonly #unreadable = new Map<string, CachedObject>();
  #bucketOrder: string[] | undefined;
  readonly #indexField: string | undefined;
  readonly #index = new Map<string, Map<string, CachedObject>>();
  #ring: CacheEvent[] = [];
  /** Versions above this one can be replayed from the ring. */
  #ringStart: ResourceVersion;
  #loadedAt: ResourceVersion | undefined;
  #early: StoreEvent[] = [];
  /** Of the newest change of this kind. */
  lastChange: ResourceVersion;
  /** At most one for each write in work. */
  readonly #expected = new Map<string, Expected>();
  size = 0;

  constructor(
    readonly served: ServedKind,
    since: ResourceVersion,
    /** Calls back at the end of this turn of the loop. */
    private readonly later: (call: () => void) => void = (call) => call(),
  ) {
    this.prefix = prefixOf(served.kind);
    this.#decoded = new DecodedPool(served.decodedBytesMax);
    this.#indexField = served.kind.group === '' ? indexedFields[served.kind.plural] : undefined;
    this.#ringStart = since;
    this.lastChange = since;
  }
  get loadedAt(): ResourceVersion | undefined {
    return this.#loadedAt;
  }

  /** The first state, or the state after the store's history was lost (then differences become events). */
  load(objects: readonly CachedObject[], at: ResourceVersion, lost = false): void {
    if (lost) this.#reload(objects, at);
    else for (const object of objects) this.#put(object);
    if (!lost) this.lastChange = at;
    this.#loadedAt = at;
    const early = this.#early;
    this.#early = [];
    for (const event of early) this.apply(event);
  }

  /** Events that come before the first state wait for it; those it already contains only become history. */
  apply(event: StoreEvent): void {
    if (event.type === 'progress') return;
    if (this.#loadedAt === undefined) {
      this.#early.push(event);
      return;
    }
    const change = this.#eventOf(event);
    if (change.object.sealedWith !== undefined) return this.#setAside(change);
    this.#remember(change);
    if (compareVersions(change.version, this.#loadedAt) <= 0) return;
    if (change.type === 'DELETED') this.#drop(change.object);
    else this.#put(change.object);
    this.lastChange = change.version;
    for (const sink of this.sinks) sink.onEvent(change);
    if (this.#isTurnDue || this.sinks.size === 0) return;
    this.#isTurnDue = true;
    this.later(() => {
      this.#isTurnDue = false;
      for (const sink of this.sinks) sink.onTurn?.();
      this.#joined = undefined;
    });
  }
  #isTurnDue = false;

  #joined: { readonly parts: readonly Uint8Array[]; readonly chunk: Uint8Array } | undefined;
  /** The parts as one; made once for all watchers that are sent the same. */
  join(parts: readonly Uint8Array[], size: number): Uint8Array {
    if (parts.length === 1) return parts[0]!;
    const known = this.#joined;
    if (known?.parts.length === parts.length && parts.every((part, index) => part === known.parts[index]))
      return known.chunk;
    this.#joined = { parts, chunk: Buffer.concat(parts, size) };
    return this.#joined.chunk;
  }

  get(namespace: string, name: string): CachedObject | undefined {
    return this.#buckets.get(namespace)?.objects.get(name);
  }
  unreadable(namespace: string, name: string): CachedObject | undefined {
    return this.#unreadable.get(localKey(namespace, name));
  }
  /** Of one namespace, or of all. */
  allUnreadable(namespace = ''): CachedObject[] {
    if (this.#unreadable.size === 0) return [];
    return [...this.#unreadable.values()].filter((object) => !namespace || object.namespace === namespace);
  }

  /**
   * What a writer is about to store, so that nobody parses it again: neither to index it nor, if it is `ours` to keep, for
   * the next write. To be taken back when the write is over.
   */
  expect(key: string, bytes: Uint8Array, object: Readonly<AnyObject>, isOurs: boolean): () => void {
    const expected = { bytes, object, isOurs };
    this.#expected.set(key, expected);
    return () => {
      if (this.#expected.get(key) === expected) this.#expected.delete(key);
    };
  }

  /** The state that was just written, as the cache holds it: its bytes are made once, for the writer and for all who read. */
  written(entry: Entry): CachedObject {
    const made = CachedObject.of(this.served, entry);
    const held = this.get(made.namespace, made.name);
    return held?.version === entry.version ? held : made;
  }

  /** In key order. */
  list(selection: Selection): CachedObject[] {
    if (selection.name && (selection.namespace || !this.served.kind.namespaced)) {
      const one = this.get(selection.namespace, selection.name);
      return one && selection.matches(one) ? [one] : [];
    }
    const pinned = this.#indexField ? equals(selection.fields, this.#indexField) : undefined;
    if (pinned !== undefined) {
      const found = [...(this.#index.get(pinned)?.values() ?? [])].filter((object) => selection.matches(object));
      return found.sort(byKey);
    }
    const all = this.all(selection.namespace);
    return selection.everything ? all : all.filter((object) => selection.matches(object));
  }

  /** Those that a selector cannot judge yet: it speaks of the version that is asked for. */
  unconverted({ namespace, everything }: Selection): CachedObject[] {
    if (!this.served.conversion || everything) return [];
    return this.all(namespace).filter((object) => object.needsConversion);
  }

  /** Those whose indexed field has this value, in no order. */
  indexed(value: string): CachedObject[] {
    return [...(this.#index.get(value)?.values() ?? [])];
  }

  /** Do not change the answer: it is the cache's own. */
  all(namespace = ''): CachedObject[] {
    if (namespace || !this.served.kind.namespaced) return this.#sorted(this.#buckets.get(namespace));
    this.#bucketOrder ??= [...this.#buckets.keys()].sort((a, b) => (`${a}/` < `${b}/` ? -1 : 1));
    return this.#bucketOrder.flatMap((name) => this.#sorted(this.#buckets.get(name)));
  }

  /** Events above a version; undefined when the ring does not reach back that far. */
  since(version: ResourceVersion): readonly CacheEvent[] | undefined {
    if (compareVersions(version, this.#ringStart) < 0) return undefined;
    let low = 0;
    let high = this.#ring.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareVersions(this.#ring[middle]!.version, version) <= 0) low = middle + 1;
      else high = middle;
    }
    return this.#ring.slice(low);
  }
  get oldest(): ResourceVersion {
    return this.#ringStart;
  }

  #eventOf(event: Exclude<StoreEvent, { type: 'progress' }>): CacheEvent {
    if (event.type === 'put') {
      const object = CachedObject.of(this.served, event.entry);
      const expected = this.#expected.get(object.key);
      if (
        expected &&
        (expected.bytes === event.entry.value || Buffer.compare(expected.bytes, event.entry.value) === 0)
      ) {
        if (expected.isOurs) object.adopt(expected.object);
        object.readSelectable(expected.object);
      }
      const known = this.get(object.namespace, object.name);
      const previous =
        known && event.previous && known.version === event.previous.version
          ? known
          : event.previous && readable(CachedObject.of(this.served, event.previous));
      return { type: previous ? 'MODIFIED' : 'ADDED', object, previous, version: event.entry.version };
    }
    const previous = CachedObject.of(this.served, event.previous);
    return { type: 'DELETED', object: previous.at(event.version), previous, version: event.version };
  }

  /** An object that became unreadable here ends as silently as one that was always so: its content is not known. */
  #setAside({ type, object, version }: CacheEvent): void {
    if (compareVersions(version, this.#loadedAt!) <= 0) return;
    this.#drop(object);
    const key = localKey(object.namespace, object.name);
    if (type === 'DELETED') this.#unreadable.delete(key);
    else this.#unreadable.set(key, object);
    this.lastChange = version;
  }

  #remember(event: CacheEvent): void {
    this.#ring.push(event);
    if (this.#ring.length < ringEventsMax * 2) return;
    this.#ringStart = this.#ring[ringEventsMax - 1]!.version; // halves, so that forgetting costs O(1) an event
    this.#ring = this.#ring.slice(ringEventsMax);
  }

  #put(object: CachedObject): void {
    const sealed = object.sealedWith !== undefined;
    if (sealed) this.#unreadable.set(localKey(object.namespace, object.name), object);
    else if (this.#unreadable.size > 0) this.#unreadable.delete(localKey(object.namespace, object.name));
    if (sealed) return;
    let bucket = this.#buckets.get(object.namespace);
    if (!bucket) {
      bucket = { objects: new Map(), sorted: undefined };
      this.#buckets.set(object.namespace, bucket);
      this.#bucketOrder = undefined;
    }
    object.decodeIn(this.#decoded, this.#recent);
    const before = bucket.objects.get(object.name);
    bucket.objects.set(object.name, object);
    bucket.sorted = undefined;
    if (!before) this.size++;
    if (this.#indexField) this.#reindex(before, object);
  }

  #drop(object: CachedObject): void {
    const bucket = this.#buckets.get(object.namespace);
    const before = bucket?.objects.get(object.name);
    if (!bucket || !before) return;
    bucket.objects.delete(object.name);
    bucket.sorted = undefined;
    this.size--;
    if (this.#indexField) this.#reindex(before, undefined);
    if (bucket.objects.size === 0) {
      this.#buckets.delete(object.namespace);
      this.#bucketOrder = undefined;
    }
  }

  #reindex(before: CachedObject | undefined, next: CachedObject | undefined): void {
    const field = this.#indexField!;
    if (before) {
      const group = this.#index.get(before.fields[field] ?? '');
      group?.delete(before.key);
      if (group?.size === 0) this.#index.delete(before.fields[field] ?? '');
    }
    if (!next) return;
    const value = next.fields[field] ?? '';
    const group = this.#index.get(value);
    if (group) group.set(next.key, next);
    else this.#index.set(value, new Map([[next.key, next]]));
  }

  #sorted(bucket: Bucket | undefined): CachedObject[] {
    if (!bucket) return [];
    bucket.sorted ??= [...bucket.objects.values()].sort(byKey);
    return bucket.sorted;
  }

  #reload(objects: readonly CachedObject[], at: ResourceVersion): void {
    const wanted = new Set(objects.map((object) => localKey(object.namespace, object.name)));
    for (const object of this.all().slice()) {
      if (!wanted.has(localKey(object.namespace, object.name))) this.#drop(object);
    }
    this.#unreadable.clear();
    for (const object of objects) this.#put(object);
    this.#ring = [];
    this.#ringStart = at;
    this.lastChange = at;
    for (const sink of [...this.sinks]) sink.onLost();
  }
}

const byKey = (a: CachedObject, b: CachedObject): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
const readable = (object: CachedObject): CachedObject | undefined =>
  object.sealedWith === undefined ? object : undefined;
