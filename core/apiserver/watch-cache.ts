import { compareVersions, errors, isReason, type ResourceVersion, StatusError } from '#api';
import { type Clock, type Log, messageOf } from '#base';
import type { Store } from '../store/store.ts';
import { CachedObject } from './cached-object.ts';
import type { AnyKind, ServedKind } from './contract.ts';
import { ResourceCache } from './resource-cache.ts';

const everythingPrefix = '/registry/';
/** Each version of a kind has a cache of its own over the same stored bytes. */
const cacheKey = ({ group, version, plural }: AnyKind): string => `${group}/${version}/${plural}`;
const pageEntries = 500;
/** History fetched at the start, so that watches resume over a restart of this server. */
const replayVersions = 2000n;
const waitMsMax = 3_000;
const retryMs = 200;
const probeMs = 500;

/** One watch of the store feeds the caches of all kinds; `reached` is the version that all of them have seen. */
export class WatchCache implements AsyncDisposable {
  readonly #caches = new Map<string, ResourceCache>();
  /** Two forms of one kind are two caches over the same bytes. */
  readonly #byPrefix = new Map<string, readonly ResourceCache[]>();
  readonly #stop = new AbortController();
  #reached = '0' as ResourceVersion;
  #oldest = '0' as ResourceVersion;
  #since = '0' as ResourceVersion;
  #waiters: Waiter[] = [];
  #watching = false;
  #pump: Promise<void> | undefined;
  #freshening: Promise<void> | undefined;

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  get reached(): ResourceVersion {
    return this.#reached;
  }
  /** Exact states below this are expired, also those that a cache happens to hold still: tokens expire as upstream's do. */
  get oldest(): ResourceVersion {
    return this.#oldest;
  }
  forgetBefore(version: ResourceVersion): void {
    if (compareVersions(version, this.#oldest) > 0) this.#oldest = version;
  }
  cacheOf(kind: AnyKind): ResourceCache | undefined {
    return this.#caches.get(cacheKey(kind));
  }
  caches(): Iterable<ResourceCache> {
    return this.#caches.values();
  }

  async start(kinds: readonly ServedKind[]): Promise<void> {
    const now = await this.store.version();
    this.#since = await historyStart(now, (since) => this.#isExpired(since));
    for (const served of kinds)
      if (!served.kind.virtual) {
        const cache = new ResourceCache(served, this.#since, this.#later);
        this.#caches.set(cacheKey(served.kind), cache);
        this.#feed(cache);
      }
    this.#pump = this.#run();
    for (const cache of this.#caches.values()) await this.#load(cache);
    this.#advance(now);
  }

  readonly #later = (call: () => void): void => void this.clock.soon().then(call);

  /** At run time, or instead of a former one, whose watches end. Its history begins now. */
  async add(served: ServedKind): Promise<ResourceCache> {
    const key = cacheKey(served.kind);
    const known = this.#caches.get(key);
    if (known?.served === served) return known;
    const cache = new ResourceCache(served, await this.store.version(), this.#later);
    this.#feed(cache);
    try {
      await this.#load(cache);
    } catch (error) {
      this.#starve(cache);
      throw error;
    }
    this.#caches.set(key, cache);
    if (known) this.#starve(known);
    return cache;
  }
  remove(kind: AnyKind): void {
    const cache = this.#caches.get(cacheKey(kind));
    this.#caches.delete(cacheKey(kind));
    if (cache) this.#starve(cache);
  }
  #starve(cache: ResourceCache): void {
    const others = (this.#byPrefix.get(cache.prefix) ?? []).filter((other) => other !== cache);
    if (others.length > 0) this.#byPrefix.set(cache.prefix, others);
    else this.#byPrefix.delete(cache.prefix);
    for (const sink of [...cache.sinks]) sink.onLost();
  }

  /**
   * Resolves when the caches hold everything that was acknowledged anywhere before this call: a default read is linearizable.
   * One quorum read serves every call of a turn of the loop. Throws 503 when the store does not answer, 504 after 3 s.
   */
  fresh(): Promise<void> {
    if (!this.store.shared) return upToDate; // our own writes are answered after the caches have them
    this.#freshening ??= this.#freshen();
    return this.#freshening;
  }
  async #freshen(): Promise<void> {
    await this.clock.soon();
    this.#freshening = undefined; // whoever comes after the question needs another one
    await this.waitFor(await this.store.version());
  }

  /** Resolves when every cache has seen this version; throws 504 after 3 s. */
  async waitFor(version: string): Promise<void> {
    if (compareVersions(this.#reached, version) >= 0) return;
    const waiter: Waiter = {
      version,
      endMs: this.clock.monotonicMs() + waitMsMax,
      ...Promise.withResolvers<void>(),
    };
    this.#waiters.push(waiter);
    void this.#expire();
    await waiter.promise;
    if (compareVersions(this.#reached, version) >= 0) return;
    throw new StatusError(
      504,
      'Timeout',
      `Timeout: Too large resource version: ${version}, current: ${this.#reached}`,
      {
        causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
        retryAfterSeconds: 1,
      },
    );
  }

  /** One timer for all who wait, not one for each: every write waits here, and almost always for less than a millisecond. */
  async #expire(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    while (this.#waiters.length > 0) {
      await this.clock.sleep(this.#waiters[0]!.endMs - this.clock.monotonicMs(), this.#stop.signal);
      const nowMs = this.#stop.signal.aborted ? Number.POSITIVE_INFINITY : this.clock.monotonicMs();
      for (const waiter of this.#waiters) if (waiter.endMs <= nowMs) waiter.resolve();
      this.#waiters = this.#waiters.filter((waiter) => waiter.endMs > nowMs);
    }
    this.#watching = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#pump;
    for (const cache of this.#caches.values()) for (const sink of [...cache.sinks]) sink.onLost();
  }

  #feed(cache: ResourceCache): void {
    this.#byPrefix.set(cache.prefix, [...(this.#byPrefix.get(cache.prefix) ?? []), cache]);
  }

  async #load(cache: ResourceCache, lost = false): Promise<void> {
    const objects: CachedObject[] = [];
    let at: ResourceVersion | undefined;
    let after: string | undefined;
    for (;;) {
      const page = await this.store.list(cache.prefix, { limit: pageEntries, after, at });
      at ??= page.version;
      for (const entry of page.entries) objects.push(CachedObject.of(cache.served, entry));
      if (!page.more) break;
      after = page.entries.at(-1)!.key;
    }
    cache.load(objects, at, lost);
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        for await (const event of this.store.watch(everythingPrefix, this.#since, this.#stop.signal)) {
          const version = event.type === 'put' ? event.entry.version : event.version;
          if (event.type !== 'progress') {
            const key = event.type === 'put' ? event.entry.key : event.previous.key;
            const prefix = key.slice(0, key.indexOf('/', key.indexOf('/', everythingPrefix.length) + 1) + 1);
            for (const cache of this.#byPrefix.get(prefix) ?? []) cache.apply(event);
          }
          this.#since = version;
          this.#advance(version);
        }
      } catch (error) {
        this.log.warn('the watch of the store ended', { error: messageOf(error) });
        if (isReason(error, 'Expired', 'Gone')) await this.#relist();
      }
      await this.clock.sleep(retryMs, this.#stop.signal);
    }
  }

  async #relist(): Promise<void> {
    try {
      const now = await this.store.version();
      for (const cache of this.#caches.values()) await this.#load(cache, true);
      this.#since = now;
      this.#advance(now);
    } catch (error) {
      this.log.error('the store could not be read again', { error: messageOf(error) });
    }
  }

  async #isExpired(since: string): Promise<boolean> {
    const stop = new AbortController();
    void this.clock.sleep(probeMs, stop.signal).then(() => stop.abort()); // no event at all is no refusal either
    try {
      for await (const _event of this.store.watch(everythingPrefix, since as ResourceVersion, stop.signal)) break;
      return false;
    } catch {
      return true;
    } finally {
      stop.abort();
    }
  }

  #advance(version: ResourceVersion): void {
    if (compareVersions(version, this.#reached) <= 0) return;
    this.#reached = version;
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter((waiter) => compareVersions(waiter.version, version) <= 0);
    this.#waiters = this.#waiters.filter((waiter) => compareVersions(waiter.version, version) > 0);
    for (const waiter of ready) waiter.resolve();
  }
}

interface Waiter {
  readonly version: string;
  readonly endMs: number;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}
const upToDate = Promise.resolve();

/**
 * Where history that can be replayed begins: `replayVersions` back, or as far as the store still has it. A young or quiet
 * cluster has fewer versions than that, and its watches must resume over a restart too.
 */
export async function historyStart(
  now: ResourceVersion,
  isExpired: (since: string) => Promise<boolean>,
): Promise<ResourceVersion> {
  let kept = BigInt(now);
  let lost = kept > replayVersions ? kept - replayVersions : 0n;
  if (kept === 0n || !(await isExpired(String(lost)))) return String(lost) as ResourceVersion;
  while (kept - lost > 1n) {
    const middle = (kept + lost) / 2n;
    if (await isExpired(String(middle))) lost = middle;
    else kept = middle;
  }
  return String(kept) as ResourceVersion;
}

export const tooOld = (asked: string, oldest: string): StatusError =>
  errors.expired(`too old resource version: ${asked} (${oldest})`);
