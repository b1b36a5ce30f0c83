import type { Kind, KubeObject } from '#api';
import { isReason, keyOf } from '#api';
import type { Clock, Log } from '#base';
import type { Client } from '#client';

interface Entry<T> {
  value?: Readonly<T>;
  readonly users: Set<string>;
  readonly abort: AbortController;
  first: Promise<void>;
}

const retryMs = 2_000;
const watchSeconds = 600;

/**
 * Live copies of the config maps and secrets that pods here refer to, each watched by its name while a pod uses it:
 * a node may read only those. One watch for each object, however many pods share it.
 */
export class ReferencedObjects<T extends KubeObject> implements Disposable {
  readonly #entries = new Map<string, Entry<T>>();
  constructor(
    private readonly options: {
      readonly kind: Kind<T>;
      readonly client: Client;
      readonly clock: Clock;
      readonly log: Log;
      /** An object changed; these pods (uids) use it. */
      onChange(podUids: readonly string[]): void;
    },
  ) {}

  /** Registers the pod as a user; resolves when the object has been read once (it may be absent). Throws what the read threw. */
  async use(podUid: string, namespace: string, name: string): Promise<Readonly<T> | undefined> {
    const key = `${namespace}/${name}`;
    let entry = this.#entries.get(key);
    if (!entry) {
      const fresh: Entry<T> = { users: new Set(), abort: new AbortController(), first: Promise.resolve() };
      fresh.first = this.#read(fresh, namespace, name).then((version) => {
        void this.#follow(fresh, namespace, name, version);
      });
      this.#entries.set(key, fresh);
      entry = fresh;
    }
    entry.users.add(podUid);
    try {
      await entry.first;
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    }
    return entry.value;
  }

  get(namespace: string, name: string): Readonly<T> | undefined {
    return this.#entries.get(`${namespace}/${name}`)?.value;
  }

  release(podUid: string): void {
    for (const [key, entry] of this.#entries) {
      if (!entry.users.delete(podUid) || entry.users.size) continue;
      entry.abort.abort();
      this.#entries.delete(key);
    }
  }

  [Symbol.dispose](): void {
    for (const entry of this.#entries.values()) entry.abort.abort();
    this.#entries.clear();
  }

  async #read(entry: Entry<T>, namespace: string, name: string): Promise<string | undefined> {
    try {
      entry.value = await this.options.client.get(this.options.kind, { namespace, name });
      return entry.value.metadata.resourceVersion;
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      entry.value = undefined;
      return undefined;
    }
  }

  async #follow(entry: Entry<T>, namespace: string, name: string, since: string | undefined): Promise<void> {
    const { client, clock, log, kind, onChange } = this.options;
    const signal = entry.abort.signal;
    let resourceVersion = since;
    while (!signal.aborted) {
      try {
        const query = {
          namespace,
          fieldSelector: `metadata.name=${name}`,
          resourceVersion,
          timeoutSeconds: watchSeconds,
        };
        for await (const event of client.watch(kind, query, signal)) {
          resourceVersion = event.object.metadata.resourceVersion;
          if (event.type === 'BOOKMARK' || keyOf(event.object).name !== name) continue;
          entry.value = event.type === 'DELETED' ? undefined : event.object;
          onChange([...entry.users]);
        }
      } catch (error) {
        if (signal.aborted) return;
        log.debug('watch of a referenced object ended', { kind: kind.kind, namespace, name, error });
        await clock.sleep(retryMs, signal);
        await this.#read(entry, namespace, name).then(
          (version) => {
            resourceVersion = version;
            onChange([...entry.users]);
          },
          () => {},
        );
      }
    }
  }
}
