import type { Field, FieldError, Kind, KubeObject } from '#api';
import type { RestCall, RestEvent, RestWatchCall } from './plugin/rest.ts';
import type { Column, Strategy, UserInfo } from './strategy.ts';

/** What the API server offers to those who extend it in its own process: kinds that come and go, admission, reading. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = Record<string, unknown>;
/** An object as it travels through the server: decoded JSON of a known kind. */
export type AnyObject = KubeObject & JsonObject;
export type AnyKind = Kind<KubeObject>;
export type AnyStrategy = Strategy<KubeObject>;

/** The one parse of a request's path and query. Everything is routed, authorised and stored by this, never by text. */
export interface RequestInfo {
  /** get list watch create update patch delete deletecollection; for paths outside resources the lower-case HTTP method. */
  readonly verb: string;
  readonly isResource: boolean;
  /** Without the query, percent-encoded as received. */
  readonly path: string;
  readonly group: string;
  readonly version: string;
  /** Plural. */
  readonly resource: string;
  readonly subresource: string;
  /** Empty for cluster-wide requests. For `namespaces/x` it is x, as upstream. */
  readonly namespace: string;
  /** Empty for collections. */
  readonly name: string;
  /** What follows the subresource (proxy paths), with its leading slash; else empty. */
  readonly rest: string;
  readonly query: URLSearchParams;
}

/** Types of objects: the facts table of built-in kinds, and what custom kinds define. */
export interface SchemaEngine {
  has(typeId: string): boolean;
  /**
   * Checks the types of the fields, removes unknown fields and nulls in place.
   * `unknown`: paths such as `spec.containers[0].foo`, for the caller to report by fieldValidation.
   * `errors`: what cannot be decoded at all (a string where a list belongs).
   */
  decode(typeId: string, object: JsonObject): { unknown: string[]; errors: FieldError[] };
  /** Structural defaults, in place. */
  default(typeId: string, object: JsonObject): void;
  /** Required fields, enums and formats. */
  validate(typeId: string, object: JsonObject): FieldError[];
}

export interface AdmissionRequest {
  readonly info: RequestInfo;
  readonly user: UserInfo;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly kind: AnyKind;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Mutating hooks change this in place. Undefined for deletions. */
  readonly object?: AnyObject;
  readonly current?: Readonly<AnyObject>;
  readonly dryRun: boolean;
  /** Of a deletion: its DeleteOptions. */
  readonly options?: JsonObject;
  /** Of a mutating pass. A hook that changed what hooks before it may act on wishes a second pass; round 1 is that one. */
  readonly passes?: { round: 0 | 1; again: boolean };
  readonly nowMs: number;
  /** Sent as Warning headers. */
  warn(text: string): void;
  /**
   * Of a creation that must fit to what others created (no address twice), called before the hook looks at them: what is created
   * in the same turn meanwhile, by any API server, makes the hooks' validation run again. `name`: a constant of the hook.
   */
  inTurn(name: string): void;
  /** Runs when the write did not happen after all (an address that was taken is given back). */
  onRollback(undo: () => void): void;
}
/** Throws StatusError to refuse. Runs in list order: `mutate` before defaults are completed and validation, `validate` after. */
export type Admission = (request: AdmissionRequest) => Promise<void> | void;
export interface AdmissionHook {
  readonly name: string;
  readonly mutate?: Admission;
  readonly validate?: Admission;
  /** Before a stream to a pod, service or node begins; `object` holds its options (PodExecOptions and the like). */
  readonly connect?: Admission;
  /** A second pass ends behind this hook: those that come later take something (an address) and are not asked twice. */
  readonly endsPass?: boolean;
}

/** Read access to what the watch caches hold; objects are frozen by convention. */
export interface Reader {
  get<T>(kind: Kind<T>, namespace: string, name: string): Readonly<T> | undefined;
  list<T>(kind: Kind<T>, namespace?: string): Readonly<T>[];
  /**
   * First called for everything that is there, then after every change: (next, previous), one of them absent for
   * creations and deletions. Synchronous and quick.
   */
  onChange?<T>(
    kind: Kind<T>,
    handler: (next: Readonly<T> | undefined, previous: Readonly<T> | undefined) => void,
  ): void;
  /** Those whose indexed field (`spec.nodeName` of pods) has this value, in no order. Empty for a kind without an index. */
  indexed<T>(kind: Kind<T>, value: string): Readonly<T>[];
}

/** The schema of a kind that brings its own; built-in kinds have theirs in the facts table. Metadata is checked by the server. */
export interface KindSchema {
  /** Changes with every change of the schema; documents are made anew then. */
  readonly revision: string;
  /** Removes unknown fields in place and gives their paths. */
  prune(object: JsonObject): string[];
  /** Structural defaults, in place. True: something was filled in. */
  applyDefaults(object: JsonObject): boolean;
  /**
   * Brings an object that is stored in another version to what that version's schema says of it, in place, before it is converted.
   * Absent: there is no other version.
   */
  readStored?(object: JsonObject): void;
  /** How server-side apply sees it. */
  readonly owned: Field;
  /** The schema document, with what every resource has. */
  openApi(dialect: 2 | 3): JsonObject;
}
export interface WebhookTarget {
  readonly url?: string;
  readonly service?: {
    readonly namespace: string;
    readonly name: string;
    readonly path?: string;
    readonly port?: number;
  };
  /** PEM in base64; absent: the machine's own authorities. */
  readonly caBundle?: string;
}
/** Posts JSON and gives the JSON answer. Rejects with StatusError (500) that says where it went and why it failed. */
export type CallWebhook = (
  target: WebhookTarget,
  body: unknown,
  options: {
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
    /** Added to the address, with its question mark. */
    readonly query?: string;
  },
) => Promise<unknown>;

/** Between the versions of a kind. Objects come and go whole and in order; rejects with StatusError. */
export interface KindConversion {
  convert(objects: readonly AnyObject[], apiVersion: string): Promise<AnyObject[]>;
}
/** A kind that this server serves now. Registered and withdrawn at run time. */
export interface ServedKind {
  readonly kind: AnyKind;
  readonly strategy: AnyStrategy;
  readonly schema?: KindSchema;
  /** Absent: the versions of a kind differ by name only. */
  readonly conversion?: KindConversion;
  /** The server checks metadata itself, by the rules of custom kinds. Always so where there is a schema. */
  readonly plainMetadata?: boolean;
  /** Scale subresource of kinds that have one; paths without the leading dot, such as `spec.replicas`. */
  readonly scale?: {
    readonly specReplicas: string;
    readonly statusReplicas: string;
    readonly selector?: (object: Readonly<AnyObject>) => string;
  };
  readonly columns?: readonly Column<KubeObject>[];
  /** Answers for a kind that is stored nowhere (`virtual`, with its verbs). undefined for `get`: 404. Rejects with StatusError. */
  readonly rest?: (
    verb: string,
    call: RestCall,
    object?: AnyObject,
  ) => Promise<{
    readonly object?: KubeObject;
    readonly items?: readonly KubeObject[];
    readonly resourceVersion?: string;
  }>;
  /** Of such a kind: its events, in the batches they come in. Rejects, and throws while it is read, with StatusError. */
  readonly restWatch?: (call: RestWatchCall, signal: AbortSignal) => Promise<AsyncIterable<readonly RestEvent[]>>;
  /** How much of its objects, as JSON, may stay decoded; default 8 MiB. For large objects that are read once. */
  readonly decodedBytesMax?: number;
  /** Sent as a warning with every answer. */
  readonly deprecation?: string;
}
export interface KindRegistry {
  /** Serves a kind, or replaces how it is served; watches of the former end. */
  add(served: ServedKind): Promise<void>;
  remove(kind: AnyKind): Promise<void>;
  all(): readonly ServedKind[];
}

/** Writes of the server itself: admitted and validated like any other, but not authorised. Reject with StatusError. */
export interface PartObjects {
  create(kind: Kind, object: KubeObject): Promise<void>;
  /** `change` works on a copy, again when another writer was faster; false: nothing to do. */
  update(
    kind: Kind,
    key: { readonly namespace?: string; readonly name: string; readonly subresource?: string },
    change: (draft: AnyObject) => boolean,
  ): Promise<void>;
  delete(kind: Kind, key: { readonly namespace?: string; readonly name: string }): Promise<void>;
}
