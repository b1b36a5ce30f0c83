import type { KubeObject } from '../../api/meta.ts';
import { expired, type RestEvent, type RestKind, refusal } from './rest.ts';

const historyMaxDefault = 1_024;
const perMs = 1_000;

/**
 * Objects that live in a plugin's memory and can be watched: spread `reads`, or `reads` and `writes`, into rest().
 * Watches read one history of `historyMax` changes; who asks for more than that, or is slower, gets 410 and lists again.
 */
export class LiveObjects<T extends KubeObject = KubeObject> {
  readonly #objects = new Map<string, T>();
  /** What came after version `#oldest`, one version each. */
  readonly #history: RestEvent[] = [];
  readonly #historyMax: number;
  /** Higher than any of a life before: their versions are too old here. */
  #version: number;
  #oldest: number;
  #changed = Promise.withResolvers<void>();

  readonly #time: () => string;
  constructor({ now, historyMax = historyMaxDefault }: { readonly now: () => number; readonly historyMax?: number }) {
    this.#time = () => `${new Date(now()).toISOString().slice(0, 19)}Z`;
    this.#version = Math.floor(now()) * perMs;
    this.#oldest = this.#version;
    this.#historyMax = historyMax;
  }

  /** Makes it, or puts it in the place of the one with its name. Returns it with its version. */
  put(object: T): T {
    const key = keyOf(object.metadata);
    const known = this.#objects.get(key);
    const { creationTimestamp = known?.metadata.creationTimestamp ?? this.#time() } = object.metadata;
    const stored = this.#versioned({ ...object, metadata: { ...object.metadata, creationTimestamp } });
    this.#objects.set(key, stored);
    this.#tell({ type: known ? 'MODIFIED' : 'ADDED', object: stored });
    return stored;
  }
  /** False: there was none. */
  remove(key: { readonly namespace?: string; readonly name?: string }): boolean {
    const known = this.#objects.get(keyOf(key));
    if (!known) return false;
    this.#objects.delete(keyOf(key));
    this.#tell({ type: 'DELETED', object: this.#versioned(known) });
    return true;
  }
  find(key: { readonly namespace?: string; readonly name?: string }): T | undefined {
    return this.#objects.get(keyOf(key));
  }

  readonly reads: Required<Pick<RestKind, 'get' | 'list' | 'watch'>> = {
    get: (call) => this.find(call),
    list: ({ namespace }) => ({ items: this.#within(namespace), resourceVersion: String(this.#version) }),
    watch: ({ namespace, resourceVersion, signal }) => this.#watch(namespace, resourceVersion, signal),
  };
  readonly writes: Required<Pick<RestKind, 'create' | 'update' | 'delete'>> = {
    create: ({ dryRun }, object) => {
      if (this.find(object.metadata)) throw refusal(409, 'AlreadyExists', `${object.metadata.name} already exists`);
      return dryRun ? object : this.put(object as T);
    },
    update: (call, object) => {
      const known = this.find(call);
      if (!known) throw refusal(404, 'NotFound', `${call.name} not found`);
      const { resourceVersion } = object.metadata;
      if (resourceVersion && resourceVersion !== known.metadata.resourceVersion)
        throw refusal(409, 'Conflict', `${call.name} has been modified; apply your changes to the latest version`);
      return call.dryRun ? object : this.put(object as T);
    },
    delete: (call) => {
      const isThere = call.dryRun ? this.find(call) !== undefined : this.remove(call);
      if (!isThere) throw refusal(404, 'NotFound', `${call.name} not found`);
    },
  };

  async *#watch(namespace: string, since: string, signal: AbortSignal): AsyncGenerator<RestEvent> {
    let at = since === '' || since === '0' ? undefined : Number(since);
    if (at === undefined) {
      at = this.#version;
      for (const object of this.#within(namespace)) yield { type: 'ADDED', object };
    }
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      if (!(at >= this.#oldest && at <= this.#version)) throw expired();
      const next = this.#history[at - this.#oldest]; // each change is one version
      if (!next) {
        await this.#changed.promise;
        continue;
      }
      at++;
      if (!namespace || next.object.metadata.namespace === namespace) yield next;
    }
  }
  #within(namespace: string): T[] {
    const all = [...this.#objects.values()];
    return namespace ? all.filter(({ metadata }) => metadata.namespace === namespace) : all;
  }
  #versioned(object: T): T {
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
  }
  #tell(event: RestEvent): void {
    this.#history.push(event);
    for (; this.#history.length > this.#historyMax; this.#oldest++) this.#history.shift();
    this.#wake();
  }
  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

const keyOf = ({ namespace = '', name = '' }: { readonly namespace?: string; readonly name?: string }): string =>
  `${namespace}/${name}`;
