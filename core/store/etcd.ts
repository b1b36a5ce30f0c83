import { type Etcd3, type IRequestOp, type ITxnResponse, Range } from 'etcd3';
import { type Clock, type Log, messageOf, PintleError } from '#base';
import type { ResourceVersion } from '../api/meta.ts';
import { errors } from '../api/status.ts';
import { callMsMax, connectEtcd, isUnreachable, isUnsent } from './etcd-client.ts';
import { type EtcdChange, watchEtcd } from './etcd-watch.ts';
import { checkKey, checkValue } from './key.ts';
import { expired, refusals, tooNew } from './refusal.ts';
import { listenForSilence } from './silence.ts';
import type { Entry, Page, Store, StoreEvent, Turn } from './store.ts';
import { epochSize, nextEpoch, versionNumber, versionText } from './version.ts';
import { closedError, WatchHub } from './watch-hub.ts';

export interface EtcdStoreOptions {
  /** URLs of the members, such as https://10.0.0.1:2379. */
  readonly endpoints: readonly string[];
  /** Everything of this cluster lies under it. Default /pintle. */
  readonly prefix?: string;
  /** PEM texts. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Takes loopback endpoints without TLS. */
  readonly plaintext?: boolean;
  readonly clock: Clock;
  readonly log: Log;
}

const pageEntries = 500; // an unpaged range of large values does not fit into one answer
/** A replay of which nothing comes for so long has failed; one may be long, or the machine slow. */
const replaySilentMsMax = 10_000;
const retryMs = 50;
/** A touch that the live watch does not bring within this time means that its member hangs. */
const silentMsMax = 1_000;
/** How long the live watch may take to bring a revision before it is taken for somebody else's: a read waits so long then. */
const ownEventMsMax = 20;

export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  checkEndpoints(options);
  const store = new EtcdStore(options, connectEtcd(options, options.clock));
  try {
    await store.open();
    return store;
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw new PintleError(
      'ETCD_UNREACHABLE',
      `etcd at ${options.endpoints.join(', ')} does not answer: ${messageOf(error)}.`,
      'Check that it runs and that the address and the certificates are right: `etcdctl endpoint health`.',
      { cause: error },
    );
  }
}

/** Keys of ours that no caller can name, since a store key holds no NUL. Under the root, so that the watch sees them. */
const touchKey = '\0touch';
const epochKey = '\0epoch';
const turnKey = (name: string): string => `\0turn/${name}`;

class EtcdStore implements Store {
  readonly shared = true;
  readonly #root: string;
  readonly #hub: WatchHub;
  #base = 0; // epoch * 2^40
  #live: { readonly client: Etcd3; readonly watch: Disposable } | undefined;
  #closed = false;
  #touching: Promise<number> | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(
    private readonly options: EtcdStoreOptions,
    private readonly client: Etcd3,
  ) {
    // With a slash at the end, so that /pintle never takes the keys of /pintle-2 for its own.
    this.#root = `${(options.prefix ?? '/pintle').replace(/\/+$/, '')}/`;
    this.#hub = new WatchHub((prefix, since, eventsMax) => this.#readLog(prefix, since, eventsMax), 0);
  }

  async open(): Promise<void> {
    this.#base = (await this.#call('read', () => this.#epoch())) * epochSize;
    const revision = await this.#call('read', () => this.#touch()); // may be repeated like a read
    this.#hub.publish([], this.#base + revision);
    this.#follow(revision + 1);
  }

  async create(key: string, value: Uint8Array, turn?: Turn): Promise<Entry> {
    this.#check(key, value);
    const path = this.#root + key;
    const put = this.client.put(path).value(Buffer.from(value));
    const answer = await this.#call('write', () => {
      const isNew = this.client.if(path, 'Create', '==', 0);
      if (!turn) return isNew.then(put).commit();
      const turnPath = this.#root + turnKey(turn.name);
      const since = Math.max(0, versionNumber(turn.since) - this.#base); // of an epoch that has ended: nothing counts
      const inTurn = isNew.and(turnPath, 'Mod', '<', since + 1);
      return inTurn.then(put, this.client.put(turnPath).value('')).else(this.client.get(path)).commit();
    });
    if (!answer.succeeded) throw isThere(answer, !turn) ? refusals.AlreadyExists(key) : refusals.Conflict(key);
    return { key, value, version: this.#versionOf(answer) };
  }

  async update(key: string, value: Uint8Array, expected: ResourceVersion | undefined): Promise<Entry> {
    this.#check(key, value);
    const put = this.client.put(this.#root + key).value(Buffer.from(value));
    const answer = await this.#replace(key, expected, put);
    return { key, value, version: this.#versionOf(answer) };
  }

  async delete(key: string, expected: ResourceVersion | undefined): Promise<Entry> {
    this.#check(key);
    const remove = {
      op: async (): Promise<IRequestOp> => ({
        request_delete_range: {
          key: Buffer.from(this.#root + key),
          prev_kv: true,
        } as IRequestOp['request_delete_range'],
      }),
    };
    const answer = await this.#replace(key, expected, remove);
    const previous = answer.responses[0]!.response_delete_range.prev_kvs[0]!;
    return { key, value: new Uint8Array(previous.value), version: this.#versionOf(answer) };
  }

  async #replace(
    key: string,
    expected: ResourceVersion | undefined,
    action: { op(): Promise<IRequestOp> },
  ): Promise<ITxnResponse> {
    const path = this.#root + key;
    const revision = expected === undefined ? undefined : versionNumber(expected) - this.#base;
    const condition =
      revision === undefined ? this.client.if(path, 'Create', '>', 0) : this.client.if(path, 'Mod', '==', revision);
    const answer = await this.#call('write', () => condition.then(action).else(this.client.get(path)).commit());
    if (answer.succeeded) return answer;
    throw isThere(answer) ? refusals.Conflict(key) : refusals.NotFound(key);
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#check(key);
    const { kvs } = await this.#call('read', () => this.client.get(this.#root + key).exec());
    return kvs[0] && this.#entry(key, kvs[0]);
  }

  async list(prefix: string, page?: Page): Promise<{ entries: Entry[]; version: ResourceVersion; more: boolean }> {
    this.#assertOpen();
    const limit = page?.limit ?? Number.POSITIVE_INFINITY;
    const entries: Entry[] = [];
    let revision = page?.at === undefined ? undefined : this.#revisionOf(page.at);
    let start = this.#root + (prefix || '\u0001');
    if (page?.after !== undefined && page.after >= prefix) start = `${this.#root}${page.after}\0`;
    const { end } = Range.prefix(this.#root + prefix);
    for (let more = true; more && entries.length < limit; ) {
      const request = this.client.getAll().inRange({ start: Buffer.from(start), end: Buffer.from(end) });
      request.sort('Key', 'Ascend').limit(Math.min(pageEntries, limit - entries.length));
      if (revision !== undefined) request.revision(revision);
      const answer = await this.#call('read', () => request.exec(), page?.at);
      revision ??= Number(answer.header.revision);
      for (const kv of answer.kvs) entries.push(this.#entry(kv.key.toString().slice(this.#root.length), kv));
      if (!answer.more) return { entries, version: versionText(this.#base + revision), more: false };
      start = `${this.#root}${entries.at(-1)!.key}\0`;
      more = answer.more;
    }
    return { entries, version: versionText(this.#base + revision!), more: true };
  }

  watch(prefix: string, since: ResourceVersion, signal: AbortSignal): AsyncIterable<StoreEvent> {
    return this.#hub.watch(prefix, since, signal);
  }

  /** A quorum read. Whatever it answers, watches come to it: where somebody else moved the revision, a touch brings it through. */
  async version(): Promise<ResourceVersion> {
    this.#assertOpen();
    const { header } = await this.#call('read', () => this.client.get(this.#root + touchKey).exec());
    const version = this.#base + Number(header.revision);
    if (await this.#arrived(version, ownEventMsMax)) return versionText(version);
    await this.#call('write', () => this.#touchPast(version));
    const live = this.#live;
    if (!(await this.#arrived(version, silentMsMax)) && live === this.#live && !this.#closed) {
      this.options.log.warn('the etcd watch is silent; another member is asked');
      this.#follow(this.#hub.version - this.#base + 1);
    }
    return versionText(version);
  }

  /** One touch at a time serves all who wait; one that began before ours may lie below our version. */
  async #touchPast(version: number): Promise<void> {
    for (let touched = 0; touched < version; ) {
      this.#touching ??= this.#touch().finally(() => {
        this.#touching = undefined;
      });
      touched = this.#base + (await this.#touching);
    }
  }

  async compact(before: ResourceVersion): Promise<void> {
    this.#assertOpen();
    const revision = versionNumber(before) - this.#base;
    if (revision <= 0) return;
    try {
      await this.client.kv.compact({ revision: String(revision) } as Parameters<typeof this.client.kv.compact>[0]);
    } catch (error) {
      if (!/has been compacted/.test(messageOf(error))) throw this.#explain(error, 'read');
    }
  }

  /** The other apiservers see the key change and start over, too. */
  async newEpoch(above: ResourceVersion = versionText(0)): Promise<ResourceVersion> {
    this.#assertOpen();
    const revision = await this.#call('write', async () => {
      const first = nextEpoch((await this.#epoch()) * epochSize, versionNumber(above));
      const path = this.#root + epochKey;
      const { header } = await this.client
        .put(path)
        .value(String(first / epochSize))
        .exec();
      return first + Number(header.revision);
    });
    if (!(await this.#arrived(revision, callMsMax))) throw errors.unavailable('etcd does not tell of the new epoch');
    return versionText(revision);
  }
  async #epoch(): Promise<number> {
    return Number((await this.client.get(this.#root + epochKey).string()) ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#hub.fail(closedError());
    this.#unfollow();
    this.client.close();
  }

  /**
   * One watch over the whole root feeds every watcher. It has connections of its own: etcd3 keeps one stream for all watches
   * of a client, and the only way off a member that hangs is to close them.
   */
  #follow(revision: number): void {
    this.#unfollow();
    const client = connectEtcd(this.options, this.options.clock);
    const watch = watchEtcd(client, this.#root, revision, {
      onChanges: (changes) => {
        const epoch = changes.findLast(({ key }) => key === this.#root + epochKey);
        if (epoch?.value) this.#enterEpoch(Number(Buffer.from(epoch.value).toString()), changes.at(-1)!.revision);
        else {
          const events = changes.filter((change) => this.#isPublic(change)).map((change) => this.#event(change));
          this.#hub.publish(events, this.#base + changes.at(-1)!.revision);
        }
        for (const wake of this.#waiting) wake();
      },
      onEnd: (error) => void this.#resume(error),
    });
    this.#live = { client, watch };
  }
  #enterEpoch(epoch: number, revision: number): void {
    this.#base = epoch * epochSize;
    this.#hub.restart(expired('the watch', String(this.#base + revision)), this.#base + revision);
  }
  #unfollow(): void {
    this.#live?.watch[Symbol.dispose]();
    this.#live?.client.close();
    this.#live = undefined;
  }

  /** History was compacted while we were away: nobody can be told what happened in between, so every watcher lists again. */
  async #resume(error: Error): Promise<void> {
    this.options.log.warn('the etcd watch ended; watchers start over', { error });
    for (const signal = new AbortController().signal; !this.#closed; ) {
      const revision = await this.#touch().catch(() => undefined);
      if (revision !== undefined) {
        this.#hub.restart(expired('the watch', String(this.#base + revision)), this.#base + revision);
        this.#follow(revision + 1);
        return;
      }
      await this.options.clock.sleep(retryMs, signal);
    }
  }

  /** Replays from `since` up to what the live watch has published; that revision is an event under the root, so the replay comes to it. */
  async #readLog(prefix: string, since: number, eventsMax: number): Promise<{ events: StoreEvent[]; through: number }> {
    const target = this.#hub.version;
    if (since < this.#base) throw expired(String(since), String(this.#base));
    if (since >= target) return { events: [], through: target };
    const controller = new AbortController();
    const { promise, resolve, reject } = Promise.withResolvers<{ events: StoreEvent[]; through: number }>();
    const events: StoreEvent[] = [];
    // Beside the live watch: where the last watch of an etcd3 client ends, the next one may attach to its dying stream and hang.
    const client = this.#live?.client;
    if (!client) throw errors.unavailable('etcd cannot be watched now');
    const heard = listenForSilence(this.options.clock, replaySilentMsMax, controller.signal, () =>
      reject(errors.unavailable(`etcd replayed nothing of its history for ${replaySilentMsMax} ms`)),
    );
    using _replay = watchEtcd(client, this.#root, since - this.#base + 1, {
      onChanges: (changes) => {
        heard();
        for (const change of changes) {
          const through = this.#base + change.revision;
          if (this.#isPublic(change) && change.key.startsWith(this.#root + prefix)) events.push(this.#event(change));
          if (through >= target || events.length >= eventsMax) return resolve({ events, through });
        }
      },
      onEnd: () => reject(expired(String(since), 'not known')),
    });
    try {
      return await promise;
    } finally {
      controller.abort();
    }
  }

  /** Waits shortly for the live watch. False: nothing of ours moved the revision. */
  async #arrived(version: number, msMax: number): Promise<boolean> {
    if (this.#hub.version >= version) return true;
    const controller = new AbortController();
    const wake = () => this.#hub.version >= version && controller.abort();
    this.#waiting.add(wake);
    await this.options.clock.sleep(msMax, controller.signal);
    this.#waiting.delete(wake);
    return this.#hub.version >= version;
  }

  async #touch(): Promise<number> {
    const { header } = await this.client
      .put(this.#root + touchKey)
      .value('')
      .exec();
    return Number(header.revision);
  }

  #isPublic(change: EtcdChange): boolean {
    return change.key[this.#root.length] !== '\0';
  }
  #event({ key: path, revision, value, previous }: EtcdChange): StoreEvent {
    const key = path.slice(this.#root.length);
    const version = versionText(this.#base + revision);
    const before = previous && { key, value: previous.value, version: versionText(this.#base + previous.revision) };
    if (value) return { type: 'put', entry: { key, value, version }, previous: before };
    // etcd has forgotten the value where compaction took it; the key is what matters then.
    return { type: 'delete', previous: before ?? { key, value: new Uint8Array(), version }, version };
  }
  #entry(key: string, kv: { readonly value: Buffer; readonly mod_revision: string }): Entry {
    return { key, value: new Uint8Array(kv.value), version: versionText(this.#base + Number(kv.mod_revision)) };
  }
  #versionOf(answer: { readonly header: { readonly revision: string } }): ResourceVersion {
    return versionText(this.#base + Number(answer.header.revision));
  }
  #revisionOf(at: ResourceVersion): number {
    const revision = versionNumber(at) - this.#base;
    if (revision <= 0) throw expired(at, String(this.#base));
    return revision;
  }

  /** Tries other members: a read always, a write only where it cannot have been sent. */
  async #call<T>(kind: 'read' | 'write', work: () => PromiseLike<T>, at = ''): Promise<T> {
    const { clock } = this.options;
    const end = clock.monotonicMs() + 2 * callMsMax;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const again = isUnsent(error) || (kind === 'read' && isUnreachable(error));
        if (!again || this.#closed || clock.monotonicMs() + retryMs > end) throw this.#explain(error, kind, at);
      }
      await clock.sleep(retryMs);
    }
  }
  #explain(error: unknown, kind: 'read' | 'write', at = ''): Error {
    const message = messageOf(error);
    if (/has been compacted/.test(message)) return expired(at, 'not known');
    if (/future revision/.test(message)) return tooNew(at, String(this.#hub.version));
    if (/request is too large/.test(message)) return errors.tooLarge(`etcd refused the object: ${message}`);
    const outcome = kind === 'write' ? '; whether it was written is not known' : '';
    return errors.unavailable(`etcd does not answer: ${message}${outcome}`);
  }

  #check(key: string, value?: Uint8Array): void {
    this.#assertOpen();
    checkKey(key);
    if (value) checkValue(value);
  }
  #assertOpen(): void {
    if (this.#closed) throw closedError();
  }
}

/** What an `else` found that reads the key; `otherwise` where there was none. */
const isThere = ({ responses }: ITxnResponse, otherwise = false): boolean =>
  (responses[0]?.response_range.kvs.length ?? Number(otherwise)) > 0;

function checkEndpoints({ endpoints, tls, plaintext }: EtcdStoreOptions): void {
  const remote = endpoints.filter(
    (endpoint) => !/^(https?:\/\/)?(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?\/?$/.test(endpoint),
  );
  const open = tls ? endpoints.filter((endpoint) => !endpoint.startsWith('https://')) : plaintext ? remote : endpoints;
  if (endpoints.length === 0 || open.length > 0)
    throw new PintleError(
      'ETCD_INSECURE',
      endpoints.length === 0 ? 'No etcd endpoint is given.' : `etcd at ${open.join(', ')} would be used without TLS.`,
      'Give https endpoints together with a CA, a client certificate and its key; on loopback plain text may be asked for.',
    );
}
