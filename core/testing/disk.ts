import { errors, type ResourceVersion } from '#api';
import type { Random } from '#base';
import type { Entry, Store, StoreEvent } from '../store/store.ts';
import type { SimProcess } from './process.ts';
import type { Timeline } from './timeline.ts';

/** One acknowledged change, as the store told it. */
export interface Commit {
  readonly index: number;
  readonly atMs: number;
  readonly type: 'put' | 'delete';
  readonly key: string;
  readonly version: number;
  /** What the writer had read; undefined: whatever is there. */
  readonly expected: number | undefined;
  readonly value: Uint8Array | undefined;
  /** Parsed on first demand; for a deletion the last state. */
  readonly object: StoredObject;
  readonly previous: Commit | undefined;
}
export type StoredObject = Readonly<Record<string, unknown>> & {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly finalizers?: readonly string[];
    readonly labels?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { kind: string; name: string; uid: string; controller?: boolean }[];
  };
};
const decoder = new TextDecoder();

/** What was acknowledged, in order: the truth that every checker judges by. */
export class History {
  readonly commits: Commit[] = [];
  /** By `/registry/group/plural/`. */
  readonly byPrefix = new Map<string, Commit[]>();
  readonly byVersion = new Map<number, Commit>();
  readonly current = new Map<string, Commit>();
  /** Version up to which history was compacted. */
  compacted = 0;

  add(commit: Omit<Commit, 'index' | 'previous' | 'object'>): Commit {
    const previous = this.current.get(commit.key);
    const index = this.commits.length;
    let parsed: StoredObject | undefined;
    const full: Commit = {
      ...commit,
      index,
      previous,
      get object() {
        if (commit.type === 'delete') return (parsed ??= previous?.object ?? ({ metadata: {} } as StoredObject));
        return (parsed ??= JSON.parse(decoder.decode(commit.value)) as StoredObject);
      },
    };
    this.commits.push(full);
    this.byVersion.set(commit.version, full);
    const prefix = prefixOf(commit.key);
    const group = this.byPrefix.get(prefix);
    if (group) group.push(full);
    else this.byPrefix.set(prefix, [full]);
    if (commit.type === 'put') this.current.set(commit.key, full);
    else this.current.delete(commit.key);
    return full;
  }
  *live(prefix: string): Generator<Commit> {
    for (const commit of this.current.values()) if (commit.key.startsWith(prefix)) yield commit;
  }
}
export const prefixOf = (key: string): string => {
  const parts = key.split('/', 4);
  return `/${parts[1]}/${parts[2]}/${parts[3]}/`;
};

export interface DiskOptions {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly inner: Store;
  readonly onCommit: (commit: Commit) => void;
}

/**
 * The store as a disk that outlives the apiserver. A write takes time before and after it is durable, so that a crash can
 * fall on either side: lost and never acknowledged, or durable and never acknowledged. An acknowledged one stays.
 */
export class SimDisk {
  readonly history = new History();
  /** Added to every write while a stall lasts. */
  stallUntilMs = 0;
  #streams = new Set<() => void>();
  constructor(private readonly options: DiskOptions) {}

  get inner(): Store {
    return this.options.inner;
  }
  /** Ends the watches of now, as a lost connection to a remote store does. */
  cutWatches(): void {
    for (const cut of [...this.#streams]) cut();
  }
  async compact(keepVersions: number): Promise<void> {
    const bound = Number(await this.options.inner.version()) - keepVersions;
    await this.#compactTo(bound);
  }
  /** The apiserver compacts by itself, too. */
  async #compactTo(bound: number): Promise<void> {
    if (bound <= this.history.compacted) return;
    this.history.compacted = bound;
    await this.options.inner.compact(String(bound) as ResourceVersion);
  }

  /** The store as one life of the apiserver holds it. */
  open(owner: SimProcess): Store {
    const { inner } = this.options;
    const write = (
      type: 'put' | 'delete',
      key: string,
      expected: ResourceVersion | undefined,
      run: () => Promise<Entry>,
    ) => owner.guard(this.#write(owner, type, key, expected, run));
    return {
      shared: inner.shared,
      create: (key, value, turn) => write('put', key, '0' as ResourceVersion, () => inner.create(key, value, turn)),
      update: (key, value, expected) => write('put', key, expected, () => inner.update(key, value, expected)),
      delete: (key, expected) => write('delete', key, expected, () => inner.delete(key, expected)),
      get: (key) => owner.guard(inner.get(key)),
      list: (prefix, page) => owner.guard(inner.list(prefix, page)),
      version: () => owner.guard(inner.version()),
      compact: (before) => owner.guard(this.#compactTo(Number(before))),
      newEpoch: (above) => owner.guard(inner.newEpoch(above)),
      watch: (prefix, since, signal) => owner.guardEach(this.#watch(prefix, since, signal)),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  async #write(
    owner: SimProcess,
    type: 'put' | 'delete',
    key: string,
    expected: ResourceVersion | undefined,
    run: () => Promise<Entry>,
  ): Promise<Entry> {
    const { timeline, random, onCommit } = this.options;
    await timeline.sleep(Math.max(0, this.stallUntilMs - timeline.nowMs) + random.next() * 0.8);
    if (!owner.alive) return new Promise(() => {}); // died before it was durable
    const entry = await run();
    const value = type === 'put' ? entry.value : undefined;
    const wanted = expected === undefined ? undefined : Number(expected);
    const version = Number(entry.version);
    onCommit(this.history.add({ atMs: timeline.nowMs, type, key, version, expected: wanted, value }));
    await timeline.sleep(random.next() * 0.4);
    return entry;
  }

  async *#watch(prefix: string, since: ResourceVersion, signal: AbortSignal): AsyncGenerator<StoreEvent> {
    const lost = new AbortController();
    const cut = () => lost.abort();
    this.#streams.add(cut);
    try {
      yield* this.options.inner.watch(prefix, since, AbortSignal.any([signal, lost.signal]));
      if (lost.signal.aborted && !signal.aborted) throw errors.unavailable('the connection to the store was lost');
    } finally {
      this.#streams.delete(cut);
    }
  }
}
