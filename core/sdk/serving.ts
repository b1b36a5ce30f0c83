import type { Field, FieldError, Kind, KubeObject } from '../api/index.ts';
import type { Clock, Log, Random } from '../base/index.ts';
import type { Column, Strategy } from './strategy.ts';

/** What a plugin's part in the API server works with: the door that custom resources themselves use. */

type JsonObject = Record<string, unknown>;
export type AnyObject = KubeObject & JsonObject;

/** The schema of a kind that brings its own; built-in kinds have theirs in the facts table. Metadata is checked by the server. */
export interface KindSchema {
  /** Changes with every change of the schema; documents are made anew then. */
  readonly revision: string;
  /** Removes unknown fields in place and gives their paths. */
  prune(object: JsonObject): string[];
  /** Structural defaults, in place. True: something was filled in. */
  applyDefaults(object: JsonObject): boolean;
  /** How server-side apply sees it. */
  readonly owned: Field;
  /** The schema document, without what every resource has. */
  openApi(dialect: 2 | 3): JsonObject;
}
/** Between the versions of a kind. Objects come and go whole, in order, with apiVersion set. Rejects with what went wrong. */
export interface KindConversion {
  convert(objects: readonly AnyObject[], apiVersion: string): Promise<AnyObject[]>;
}

/** A kind that the server serves now. Registered and withdrawn at run time. */
export interface ServedKind {
  readonly kind: Kind;
  readonly strategy: Strategy<KubeObject>;
  readonly schema?: KindSchema;
  /** Absent: versions differ by name only. */
  readonly conversion?: KindConversion;
  /** Scale subresource of kinds that have one; paths without the leading dot, such as `spec.replicas`. */
  readonly scale?: {
    readonly specReplicas: string;
    readonly statusReplicas: string;
    readonly selector?: (object: Readonly<AnyObject>) => string;
  };
  readonly columns?: readonly Column<KubeObject>[];
  /** Sent as a warning with every answer. */
  readonly deprecation?: string;
}
export interface KindRegistry {
  /** Serves a kind, or replaces how it is served; watches of the former end. */
  add(served: ServedKind): Promise<void>;
  remove(kind: Kind): Promise<void>;
  all(): readonly ServedKind[];
}

/** Read access to what the server's caches hold; objects are frozen by convention. */
export interface PartReader {
  get<T>(kind: Kind<T>, namespace: string, name: string): Readonly<T> | undefined;
  list<T>(kind: Kind<T>, namespace?: string): Readonly<T>[];
  /** First called for everything that is there, then after every change. Synchronous and quick. */
  onChange?<T>(
    kind: Kind<T>,
    handler: (next: Readonly<T> | undefined, previous: Readonly<T> | undefined) => void,
  ): void;
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
export interface ApiPartContext {
  readonly kinds: KindRegistry;
  readonly reader: PartReader;
  readonly objects: PartObjects;
  /** What holds for the metadata of every object. */
  checkMetadata(object: Readonly<KubeObject>, current?: Readonly<KubeObject>): FieldError[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Aborts when the server stops. */
  readonly signal: AbortSignal;
}
/** A plugin's `api.ts`, loaded by the API server's process. */
export interface ApiPart {
  readonly name: string;
  /** Resolves when what it adds is served; the server takes no request before. */
  start(context: ApiPartContext): Promise<void>;
}
