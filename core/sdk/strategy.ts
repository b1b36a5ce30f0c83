import type { FieldError, Kind, KubeObject } from '#api';

export interface UserInfo {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}
export interface StrategyRequest {
  readonly verb: 'create' | 'update' | 'patch' | 'delete';
  readonly subresource?: string;
  readonly user: UserInfo;
  /** Milliseconds since the epoch, of this request. */
  readonly nowMs: number;
}
export interface Column<T> {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: string;
  /** 0 is always shown, 1 with `-o wide`. */
  readonly priority: number;
  readonly description: string;
  value(object: Readonly<T>, nowMs: number): string | number | boolean | null;
}

/** What differs between kinds and nothing else; pure and synchronous. Drafts may be changed in place: they belong to the request. */
export interface Strategy<T extends KubeObject> {
  readonly kind: Kind<T>;
  /** Such as `status`, `scale`; the registry serves the generic ones, the rest have their own handlers. */
  readonly subresources: readonly string[];
  /** Fills what upstream's SetDefaults_* fill, after structural defaults. Also run on stored objects of older servers. */
  defaults?(draft: T): void;
  /** Clears what a creator may not set (status), sets what a new object starts with. */
  prepareForCreate(draft: T, request: StrategyRequest): void;
  /** Keeps what this verb or subresource may not change; raises metadata.generation where spec changed. */
  prepareForUpdate(next: T, current: Readonly<T>, request: StrategyRequest): void;
  /** A deletion begins: what must happen before it ends (finalizers, status). Metadata is marked afterwards. */
  prepareForDelete?(draft: T): void;
  /** Every mistake at once, upstream's paths, reasons and wording. `current` is absent for a creation. */
  validate(next: Readonly<T>, current?: Readonly<T>, subresource?: string): FieldError[];
  warnings?(next: Readonly<T>, current?: Readonly<T>): string[];
  /** Beyond metadata.name and metadata.namespace. */
  selectableFields?(object: Readonly<T>): Readonly<Record<string, string>>;
  readonly columns?: readonly Column<T>[];
  /** An update without a resourceVersion is refused. */
  readonly needsVersion?: boolean;
  /** A PUT of an object that is not there creates it. */
  readonly createdByUpdate?: boolean;
  /** A deletion answers with the object, not with a Status. */
  readonly answersDeleted?: boolean;
  /** How long a deletion waits; undefined deletes at once (finalizers apart). */
  gracePeriodSeconds?(object: Readonly<T>, asked: number | undefined): number | undefined;
}
