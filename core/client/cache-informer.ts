import {
  apiVersionOf,
  type Kind,
  type KubeObject,
  matchesLabels,
  parseFieldSelector,
  parseLabelSelector,
  type Selector,
} from '#api';
import { type Clock, type Log, messageOf, type Random } from '#base';
import { ObjectCache } from './cache.ts';
import type { Client, ListOptions } from './client.ts';
import type { Change, Informer, InformerFactory } from './informer.ts';
import { nextWatch, startWatch, type WatchInput } from './watch.ts';

export interface InformersOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Ends every list, watch and wait. */
  readonly signal: AbortSignal;
}
type Scope = Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector'>;

/** One informer for each kind and selector, started when it is first asked for. */
export function createInformers(options: InformersOptions): InformerFactory {
  const running = new Map<string, KindInformer<KubeObject>>();
  return {
    informer<T>(kind: Kind<T>, scope: Scope = {}): Informer<T> {
      const id = JSON.stringify([kindId(kind), scope.namespace, scope.labelSelector, scope.fieldSelector]);
      let informer = running.get(id);
      if (!informer) {
        informer = new KindInformer(kind as Kind<KubeObject>, scope, options);
        running.set(id, informer);
        void informer.run();
      }
      return informer as unknown as Informer<T>;
    },
    observe<T>(kind: Kind<T>, object: T, deleted = false) {
      const wanted = kindId(kind);
      for (const informer of running.values())
        if (kindId(informer.kind) === wanted) informer.observe(object as KubeObject, deleted);
    },
  };
}

const kindId = (kind: Pick<Kind, 'group' | 'plural'>): string => `${kind.plural}.${kind.group}`;

class KindInformer<T extends KubeObject> implements Informer<T> {
  readonly cache: ObjectCache<T>;
  readonly synced: Promise<void>;
  #isSynced = () => {};
  readonly #handlers = new Set<(change: Change<T>) => void>();
  readonly #labels: Selector;
  readonly #fields: Selector;
  readonly #log: Log;

  constructor(
    readonly kind: Kind<T>,
    private readonly scope: Scope,
    private readonly options: InformersOptions,
  ) {
    this.#log = options.log.with({ kind: kind.kind, group: kind.group || undefined });
    this.#labels = parseLabelSelector(scope.labelSelector ?? '');
    this.#fields = parseFieldSelector(scope.fieldSelector ?? '');
    this.cache = new ObjectCache<T>((change) => this.#tell(change));
    this.synced = new Promise((resolve) => (this.#isSynced = resolve));
  }

  onChange(handler: (change: Change<T>) => void): Disposable {
    const own = (change: Change<T>) => handler(change);
    this.#handlers.add(own);
    // A handler that comes late hears of what is already here.
    for (const object of this.cache.list()) this.#call(own, { type: 'added', object });
    return { [Symbol.dispose]: () => void this.#handlers.delete(own) };
  }
  addIndex(name: string, values: (object: Readonly<T>) => readonly string[]): void {
    this.cache.addIndex(name, values);
  }
  observe(object: T, deleted = false): void {
    if (object.kind !== undefined && object.kind !== this.kind.kind) return; // a Status, a Scale: not of this collection
    if (!object.metadata?.resourceVersion && !deleted) return;
    const { namespace } = object.metadata;
    if (this.scope.namespace && this.scope.namespace !== namespace) return;
    const isInside =
      matchesLabels(this.#labels, object.metadata.labels) &&
      matchesLabels(this.#fields, fieldsOf(this.#fields, object));
    if (deleted || isInside) this.cache.observe(object, deleted);
    else if (this.cache.get({ namespace, name: object.metadata.name ?? '' })) this.cache.observe(object, true);
  }

  /** Follows the collection until the signal aborts. */
  async run(): Promise<void> {
    const { clock, random, signal } = this.options;
    let step = startWatch;
    while (!signal.aborted) {
      const { state, next } = step;
      if (!next) throw new Error('the watch has nothing to do');
      if (next.afterMs > 0) await clock.sleep(next.afterMs, signal);
      if (signal.aborted) return;
      const advance = (input: WatchInput) => (step = nextWatch(step.state, input, random.next()));
      step = { state };
      try {
        if (next.type === 'list') advance({ type: 'listed', version: await this.#list() });
        else {
          const startedMs = clock.monotonicMs();
          await this.#watch(next.since, advance);
          advance({ type: 'ended', livedMs: clock.monotonicMs() - startedMs });
        }
      } catch (error) {
        if (signal.aborted) return;
        const step = advance({ type: 'failed', error });
        this.#log.debug(`${next.type} failed`, { error: messageOf(error), retryInMs: step.next?.afterMs });
      }
    }
  }

  async #list(): Promise<string> {
    this.cache.listStarts();
    const answer = await this.options.client.list(this.kind, this.scope);
    const version = answer.metadata.resourceVersion ?? '0';
    this.cache.replace(answer.items, version);
    this.#isSynced();
    return version;
  }

  async #watch(since: string, advance: (input: WatchInput) => void): Promise<void> {
    const { client, clock, random, signal } = this.options;
    const timeoutSeconds = Math.floor(240 + 240 * random.next()); // spread, so that not all clients come back together
    const ended = new AbortController();
    const whole = AbortSignal.any([signal, ended.signal]);
    // A peer that vanished without a word would hold a watch for ever.
    void clock.sleep((timeoutSeconds + 15) * 1000, whole).then(() => ended.abort());
    try {
      const watch = { ...this.scope, resourceVersion: since, allowWatchBookmarks: true, timeoutSeconds };
      for await (const event of client.watch(this.kind, watch, whole)) {
        const version = (event.object as KubeObject).metadata.resourceVersion ?? since;
        if (event.type === 'BOOKMARK') this.cache.progressTo(version);
        else this.cache.apply(event.type, event.object);
        advance({ type: 'progress', version });
      }
    } finally {
      ended.abort();
    }
  }

  #tell(change: Change<T>): void {
    for (const handler of [...this.#handlers]) this.#call(handler, change);
  }
  #call(handler: (change: Change<T>) => void, change: Change<T>): void {
    try {
      handler(change);
    } catch (error) {
      this.#log.error('a change handler failed', { apiVersion: apiVersionOf(this.kind), error: messageOf(error) });
    }
  }
}

/** The values that a field selector asks for, by path; an absent one is the empty text, as the server sees it. */
function fieldsOf(selector: Selector, object: unknown): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const { key } of selector) {
    let value: unknown = object;
    for (const part of key.split('.'))
      value = value !== null && typeof value === 'object' ? (value as Record<string, unknown>)[part] : undefined;
    fields[key] = value === undefined || value === null ? '' : String(value);
  }
  return fields;
}
