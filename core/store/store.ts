import type { ResourceVersion } from '../api/meta.ts';

/** One key's current value. Keys are `/registry/<group>/<plural>/<namespace>/<name>`-like paths made of validated parts. */
export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  readonly version: ResourceVersion;
}
export type StoreEvent =
  | { readonly type: 'put'; readonly entry: Entry; readonly previous?: Entry }
  | { readonly type: 'delete'; readonly previous: Entry; readonly version: ResourceVersion }
  | { readonly type: 'progress'; readonly version: ResourceVersion };

export interface Page {
  readonly limit: number;
  /** Keys strictly above this one. */
  readonly after?: string;
  /** The state as of this version; Expired when it was compacted away. */
  readonly at?: ResourceVersion;
}

/**
 * Of a creation that depends on what others have created, such as that no address is given twice: it was judged on the state
 * at `since`, and happens only where nothing was created in the same turn afterwards, by whatever process.
 */
export interface Turn {
  readonly name: string;
  readonly since: ResourceVersion;
}

/**
 * The one seam to persistence. Every write is durable before its promise resolves (memory excepted).
 * `expected` undefined means: whatever is there. Throws StatusError with reason AlreadyExists, NotFound, Conflict, Expired,
 * RequestEntityTooLarge (value above 1.5 MiB), InsufficientStorage (507: the disk is full, nothing was written) or ServiceUnavailable (the backend cannot write now; nothing was written, or it is
 * not known, which the message says).
 */
export interface Store extends AsyncDisposable {
  /** Other processes may write to the same data; then only `version` tells how far a reader must have come to be up to date. */
  readonly shared: boolean;
  /** Conflict: something was created in this turn after its `since`; nothing was written. */
  create(key: string, value: Uint8Array, turn?: Turn): Promise<Entry>;
  update(key: string, value: Uint8Array, expected: ResourceVersion | undefined): Promise<Entry>;
  /** Resolves to the entry as it was; its `version` is the version of the deletion. */
  delete(key: string, expected: ResourceVersion | undefined): Promise<Entry>;
  get(key: string): Promise<Entry | undefined>;
  /** Ordered by key (bytes). `version` is the version of the whole answer. */
  list(prefix: string, page?: Page): Promise<{ entries: Entry[]; version: ResourceVersion; more: boolean }>;
  /** Events after `since`, in order, exactly once, without a gap; throws Expired when `since` was compacted. Ends when the signal aborts. */
  watch(prefix: string, since: ResourceVersion, signal: AbortSignal): AsyncIterable<StoreEvent>;
  /** The newest version. */
  version(): Promise<ResourceVersion>;
  /** Forgets history before this version. Current entries stay. */
  compact(before: ResourceVersion): Promise<void>;
  /**
   * To be called once after the content came from a snapshot: starts an epoch, which expires every version handed out before,
   * also those that the snapshot does not know. Entries stay; every watch ends with Expired. `above`: the newest version known
   * of the store that the snapshot replaces, which may have been restored before itself. Resolves to the first version.
   */
  newEpoch(above?: ResourceVersion): Promise<ResourceVersion>;
}

/** 1.5 MiB, in every implementation (etcd's default request limit). */
export const valueBytesMax = 1_572_864;
