import type { KubeObject } from '../../api/meta.ts';
import type { UserInfo } from '../strategy.ts';
import type { JsonSchema } from './schema.ts';

/** Kinds that a plugin answers itself: what it is asked and may answer. */

export interface RestCall {
  /** Empty for kinds of the cluster, and for lists over all namespaces. */
  readonly namespace: string;
  /** Empty for lists and creations. */
  readonly name: string;
  readonly user: UserInfo;
  /** Labels, and the fields metadata.name and metadata.namespace, are also held against what comes back. */
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly dryRun: boolean;
}
export interface RestWatchCall extends RestCall {
  /** What the client has seen. Empty or 0: everything that there is comes first, as ADDED. */
  readonly resourceVersion: string;
  /** The client takes BOOKMARK events. */
  readonly bookmarks: boolean;
}
export interface RestEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  /** The last state of what was deleted; of a BOOKMARK nothing but metadata.resourceVersion. */
  readonly object: KubeObject;
}
/** With the version to watch from. */
export interface RestList {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
}
type Answered<T> = T | Promise<T>;
/** A kind that the plugin answers itself, behind the platform's authentication, authorisation, limits and audit. */
export interface RestKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Default: the kind in lower case with an s. */
  readonly plural?: string;
  readonly scope?: 'Namespaced' | 'Cluster';
  /**
   * Of the fields beside apiVersion, kind and metadata: `t.object({ … })`. Published (`kubectl explain`), and what is
   * written is pruned, defaulted and checked by it before it comes here. Absent: any fields.
   */
  readonly schema?: { readonly json: JsonSchema };
  /** undefined: 404. */
  get?(call: RestCall): Answered<KubeObject | undefined>;
  list?(call: RestCall): Answered<readonly KubeObject[] | RestList>;
  /** Left when nobody watches any more: its `signal` aborts, and the iterator is returned. Throw expired() for a version that is too old. */
  watch?(call: RestWatchCall & { readonly signal: AbortSignal }): AsyncIterable<RestEvent>;
  create?(call: RestCall, object: KubeObject): Answered<KubeObject>;
  /** With `get` it also answers patches. Throw refusal(409, 'Conflict', …) for another resourceVersion than the object's. */
  update?(call: RestCall, object: KubeObject): Answered<KubeObject>;
  /** With `list` it also answers deletions of collections. */
  delete?(call: RestCall): Answered<void>;
}
const ownVerbs = ['get', 'list', 'watch', 'create', 'update', 'delete'] as const;

/** A refusal in the plugin's own words: the client gets it as a Status. */
export class RefusalError extends Error {
  override readonly name = 'RefusalError';
  constructor(
    readonly code: number,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}
/** `code` 400 to 599, `reason` as Kubernetes names it: `throw refusal(409, "AlreadyExists", "…")`. */
export const refusal = (code: number, reason: string, message: string): RefusalError =>
  new RefusalError(code, reason, message);
/** Of a watch: the client lists again. */
export const expired = (message = 'too old resource version'): RefusalError => refusal(410, 'Expired', message);
export interface RefusalFacts {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
}

/** A kind of rest() as a manifest names it. */
export interface RestKindFacts {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly schema?: JsonSchema;
}
export const restKindFacts = (one: RestKind): RestKindFacts => ({
  group: one.group,
  version: one.version,
  kind: one.kind,
  plural: one.plural ?? `${one.kind.toLowerCase()}s`,
  namespaced: one.scope !== 'Cluster',
  verbs: [
    ...ownVerbs.filter((verb) => one[verb]),
    ...(one.get && one.update ? ['patch'] : []),
    ...(one.list && one.delete ? ['deletecollection'] : []),
  ],
  ...(one.schema ? { schema: one.schema.json } : {}),
});
export const restName = ({ group, version, kind }: Pick<RestKind, 'group' | 'version' | 'kind'>): string =>
  `${group}/${version} ${kind}`;
