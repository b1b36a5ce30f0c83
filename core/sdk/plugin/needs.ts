import type { ObjectKey } from '../../api/meta.ts';
import type { ResourceName, ResourceObject, View } from './resources.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';
/** What a plugin may do: the types of its client, its role, what is shown at install. Anything else is a type error now and 403 later. */
export type Needs = { readonly [R in ResourceName]?: readonly Verb[] };

type Key = ObjectKey | { readonly metadata: { readonly name?: string; readonly namespace?: string } };
interface Methods<T> {
  get: { get(key: Key): Promise<View<T>> };
  list: { list(options?: { namespace?: string; labelSelector?: string; fieldSelector?: string }): Promise<View<T>[]> };
  watch: object;
  create: { create(object: T): Promise<View<T>> };
  update: { update(object: T): Promise<View<T>> };
  patch: {
    /** A merge patch (RFC 7386). */
    patch(key: Key, patch: Readonly<Record<string, unknown>>): Promise<View<T>>;
    /** Server-side apply under the plugin's name. */
    apply(object: T): Promise<View<T>>;
  };
  delete: { delete(key: Key): Promise<void> };
  deletecollection: object;
}
type Join<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void ? I : never;
type VerbsOf<N, R extends keyof N> = N[R] extends readonly (infer V)[] ? V & Verb : never;
/** One property for each resource of `needs`, with the methods that its verbs allow. */
export type Api<N> = { readonly [R in keyof N & string]: Join<Methods<ResourceObject<R>>[VerbsOf<N, R>]> };

/** Resources that may be owned and followed: both list and watch are needed. */
export type Followed<N> = {
  [R in keyof N & string]: 'list' extends VerbsOf<N, R> ? ('watch' extends VerbsOf<N, R> ? R : never) : never;
}[keyof N & string];
/** Resources of which the pure form may keep what it wants: followed, and create, patch and delete. */
export type Kept<N> = {
  [R in Followed<N>]: 'create' | 'patch' | 'delete' extends VerbsOf<N, R> ? R : never;
}[Followed<N>];
export type Creatable<N> = {
  [R in keyof N & string]: 'create' extends VerbsOf<N, R> ? R : never;
}[keyof N & string];
