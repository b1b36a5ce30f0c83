import type { Etcd3, IWatchResponse, Watcher } from 'etcd3';

/** A change under the root, in etcd's own numbers and names. */
export interface EtcdChange {
  readonly key: string;
  readonly revision: number;
  readonly value: Uint8Array | undefined;
  readonly previous: { readonly value: Uint8Array; readonly revision: number } | undefined;
}

/** `onEnd`: etcd ended the watch for good, which means that the revision was compacted. Nothing is delivered afterwards. */
export interface EtcdWatchHandlers {
  onChanges(changes: readonly EtcdChange[]): void;
  onEnd(error: Error): void;
}

/**
 * Watches everything under `root` from `revision` on, over any number of reconnections.
 * etcd3 resumes from the revision in the answer's header, which is the newest of the whole store and not the last that it
 * delivered: a connection cut during a replay loses the rest in silence. So the place is kept here, after etcd3 has set its own.
 */
export function watchEtcd(client: Etcd3, root: string, revision: number, handlers: EtcdWatchHandlers): Disposable {
  let next = revision;
  let ended = false;
  const watcher = client.watch().prefix(root).withPreviousKV().startRevision(String(revision)).watcher();
  const keepPlace = () => {
    (watcher as unknown as { request: { start_revision: number } }).request.start_revision = next;
  };
  watcher.on('connected', keepPlace);
  watcher.on('disconnected', keepPlace);
  watcher.on('data', (response: IWatchResponse) => {
    const changes = ended ? [] : changesOf(response).filter((change) => change.revision >= next);
    if (changes.length > 0) {
      next = changes.at(-1)!.revision + 1;
      handlers.onChanges(changes);
    }
    keepPlace();
  });
  watcher.on('error', (error: Error) => {
    if (ended) return;
    ended = true;
    handlers.onEnd(error);
  });
  return {
    [Symbol.dispose]() {
      if (ended) return; // etcd3 throws out of the stream when the answer to a second end arrives
      ended = true;
      void cancel(watcher);
    },
  };
}

async function cancel(watcher: Watcher): Promise<void> {
  await watcher.cancel().catch(() => undefined); // it has ended already
}

const changesOf = (response: IWatchResponse): EtcdChange[] =>
  response.events.map(({ type, kv, prev_kv: previous }) => ({
    key: kv.key.toString(),
    revision: Number(kv.mod_revision),
    value: type === 'Put' ? new Uint8Array(kv.value) : undefined,
    // null where there was none
    previous: previous ? { value: new Uint8Array(previous.value), revision: Number(previous.mod_revision) } : undefined,
  }));
