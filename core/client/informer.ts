import type { Kind, ObjectKey } from '../api/index.ts';
import type { ListOptions } from './client.ts';

export interface Cache<T> {
  /** The cached object itself: read-only. */
  get(key: ObjectKey): Readonly<T> | undefined;
  list(namespace?: string): Readonly<T>[];
  /** Objects for which the index function gave this value. Throws when the index was not added. */
  byIndex(name: string, value: string): Readonly<T>[];
}
export type Change<T> =
  | { readonly type: 'added'; readonly object: Readonly<T> }
  | { readonly type: 'updated'; readonly object: Readonly<T>; readonly previous: Readonly<T> }
  | { readonly type: 'deleted'; readonly object: Readonly<T> };

/** A live copy of a collection. It reads its own writes: objects handed to `observe` are visible at once and never go back. */
export interface Informer<T> {
  readonly kind: Kind<T>;
  readonly cache: Cache<T>;
  /** Resolves after the first full list. */
  readonly synced: Promise<void>;
  /** A handler that comes late hears of the objects already here as `added`, at once. */
  onChange(handler: (change: Change<T>) => void): Disposable;
  addIndex(name: string, values: (object: Readonly<T>) => readonly string[]): void;
  /** The answer of a write that we made ourselves. */
  observe(object: T, deleted?: boolean): void;
}
/** Shares one informer for each kind and selector. */
export interface InformerFactory {
  informer<T>(kind: Kind<T>, options?: Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector'>): Informer<T>;
  /** Hands the answer of our own write to every running informer of that kind; starts none. */
  observe<T>(kind: Kind<T>, object: T, deleted?: boolean): void;
}
