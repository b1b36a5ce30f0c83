import type { ObjectKey } from '../../api/meta.ts';
import type { ResourceName, ResourceObject, View } from './resources.ts';

export type ApiVerb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';
/** Beside what it may do: to see and refuse, or to see and change, what others write of a kind that is not its own. */
export const hookVerbs = ['validate', 'mutate'] as const;
export type HookVerb = (typeof hookVerbs)[number];
export const isHookVerb = (verb: string): verb is HookVerb => (hookVerbs as readonly string[]).includes(verb);
/** On `pods`: what it makes may go beyond the baseline level, run as other accounts and read secrets. Dangerous. */
export type GrantVerb = 'privileged';
export type Verb = ApiVerb | HookVerb | GrantVerb;
/** Kinds of the platform that no plugin's hook is asked about: one that is down must never stop the platform itself. */
export const unhookedKinds = ['nodes', 'namespaces', 'events', 'serviceaccounts', 'secrets', 'bindings'] as const;
export const isUnhookedGroup = (group: string): boolean => /(^|\.)(k8s\.io|pintle\.dev)$/.test(group);
/** What a plugin may do: the types of its client, its role, what is shown at install. Anything else is a type error now and 403 later. */
export type Needs = { readonly [R in ResourceName]?: readonly Verb[] } & {
  /** No resource: the network of its host, outgoing. Without it a plugin reaches its API socket and nothing else. Dangerous. */
  readonly net?: readonly 'outbound'[];
};
/** The need that is no resource of the API. */
export const networkNeed = 'net';

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
  validate: object;
  mutate: object;
  privileged: object;
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
type Unhooked = (typeof unhookedKinds)[number] | `${string}.${'k8s.io' | 'pintle.dev'}`;
/** Kinds of others whose writes the plugin may see and refuse (`validate`) or see and change (`mutate`). */
export type Hooked<N, V extends HookVerb> = {
  [R in keyof N & string]: R extends Unhooked ? never : V extends VerbsOf<N, R> ? R : never;
}[keyof N & string];
