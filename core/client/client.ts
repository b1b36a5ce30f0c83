import type { Kind, KubeObject, ObjectKey, ObjectList } from '../api/index.ts';

export interface ListOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan';
}
export interface WriteOptions {
  readonly subresource?: string;
  readonly dryRun?: boolean;
  readonly fieldManager?: string;
}
export interface DeleteOptions extends WriteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}
export type Patch =
  | { readonly type: 'json'; readonly body: readonly unknown[] }
  | { readonly type: 'merge' | 'strategic'; readonly body: Readonly<Record<string, unknown>> };
export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly object: KubeObject };

/** Typed access to the API. Every failure is a StatusError (a lost connection is 503 ServiceUnavailable, a 5xx without Status keeps its code). */
export interface Client {
  get<T>(kind: Kind<T>, key: ObjectKey, options?: { subresource?: string; resourceVersion?: string }): Promise<T>;
  list<T>(kind: Kind<T>, options?: ListOptions): Promise<ObjectList<T>>;
  create<T>(kind: Kind<T>, object: T, options?: WriteOptions): Promise<T>;
  update<T>(kind: Kind<T>, object: T, options?: WriteOptions): Promise<T>;
  patch<T>(kind: Kind<T>, key: ObjectKey, patch: Patch, options?: WriteOptions): Promise<T>;
  /** Server-side apply. */
  apply<T>(
    kind: Kind<T>,
    object: T,
    options: { fieldManager: string; force?: boolean; subresource?: string },
  ): Promise<T>;
  delete<T>(kind: Kind<T>, key: ObjectKey, options?: DeleteOptions): Promise<void>;
  /** One raw watch request: ends when the server ends it; throws StatusError on an ERROR event (410 Expired) or a failed request. */
  watch<T>(
    kind: Kind<T>,
    options: ListOptions & { allowWatchBookmarks?: boolean; timeoutSeconds?: number },
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<T>>;
  /** Subresources that answer another kind (token, binding, eviction) and paths outside kinds. Parsed JSON. */
  request<R>(
    method: string,
    path: string,
    body?: unknown,
    options?: { contentType?: string; signal?: AbortSignal },
  ): Promise<R>;
}

/** Over the network, or straight into an apiserver of the same process. */
export type Fetch = (request: Request) => Promise<Response>;
