import type { ObjectMeta } from './gen/types.ts';

export interface TypeMeta {
  apiVersion?: string;
  kind?: string;
}
/** Any Kubernetes object. */
export interface KubeObject extends TypeMeta {
  metadata: ObjectMeta;
}
export interface ObjectList<T> extends TypeMeta {
  metadata: { resourceVersion?: string; continue?: string; remainingItemCount?: number };
  items: T[];
}
/** `namespace` is absent for cluster-scoped kinds. */
export interface ObjectKey {
  readonly namespace?: string;
  readonly name: string;
}
export const keyText = (key: ObjectKey): string => (key.namespace ? `${key.namespace}/${key.name}` : key.name);
export const keyOf = (object: KubeObject): ObjectKey => ({
  namespace: object.metadata.namespace,
  name: object.metadata.name ?? '',
});

/** Decimal integer text, totally ordered within one store: epoch * 2^40 + store revision. */
export type ResourceVersion = string & { readonly __rv: unique symbol };
export const compareVersions = (a: string, b: string): number =>
  a.length === b.length ? (a < b ? -1 : a > b ? 1 : 0) : a.length - b.length;
export const isResourceVersion = (text: string): text is ResourceVersion => /^(0|[1-9]\d{0,18})$/.test(text);

/**
 * A kind as a value. `T` is its object type; nothing holds one at run time.
 * Everything that lists, routes or watches goes by this.
 */
export interface Kind<T = KubeObject> {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  /** Id in the facts table. */
  readonly type: string;
  /** What discovery says it can do; absent: everything. */
  readonly verbs?: readonly string[];
  /** Answered by a handler of its own (reviews, bindings): never stored, listed or watched. */
  readonly virtual?: boolean;
  /** Another form of that kind's objects, which are stored once. */
  readonly storedAs?: Kind;
  readonly __object?: T;
}
export const apiVersionOf = (kind: Pick<Kind, 'group' | 'version'>): string =>
  kind.group ? `${kind.group}/${kind.version}` : kind.version;
/** Path of the collection, without a host: `/api/v1/namespaces/NS/pods`. Names are percent-encoded. */
export function pathOf(kind: Kind<unknown>, namespace?: string, name?: string, subresource?: string): string {
  const root = kind.group ? `/apis/${kind.group}/${kind.version}` : `/api/${kind.version}`;
  const scope = namespace !== undefined && kind.namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${kind.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}${subresource ? `/${subresource}` : ''}`;
}
