import type { KubeObject } from '../../api/meta.ts';
import type { UserInfo } from '../strategy.ts';
import type { ContributionCalls } from './contributions.ts';
import type { CustomResource, CustomView } from './crd.ts';
import type { Api, Creatable, Followed, Hooked, Kept, Needs } from './needs.ts';
import type { ResourceName, ResourceObject, View } from './resources.ts';
import type { TypeOf } from './schema.ts';

/** What a reconcile answers: nothing waits for the next change, `again(…)` comes back by itself. */
export interface Again {
  readonly againInMs: number;
}
/** `1500` milliseconds, or text such as `30s`. */
export type Delay = number | string;
type Some<T> = { readonly [K in keyof T]?: T[K] };

export interface ReconcileTools<N, O extends string, Status> {
  /** Children of this object by resource, newest first; never behind this plugin's own writes. */
  readonly owned: { readonly [R in O]: readonly View<ResourceObject<R>>[] };
  /** Creates a child owned by this object, in its namespace, with a generated name unless metadata.name is given. */
  child<R extends O & Creatable<N>>(
    resource: R,
    object: Some<Omit<ResourceObject<R>, 'metadata'>> & { metadata?: Some<KubeObject['metadata']> },
  ): Promise<View<ResourceObject<R>>>;
  /** Writes the status when it differs from what is there. */
  status(status: Status): Promise<void>;
  again(delay: Delay): Again;
  readonly signal: AbortSignal;
}
export interface ReconcileOptions<O extends string, Spec, Status> {
  /** Kinds whose objects this one makes and keeps. */
  readonly owns?: readonly O[];
  readonly workersMax?: number;
  /** Runs before the object goes; a finalizer holds it until this has returned. */
  readonly finalize?: (object: CustomView<Spec, Status>, tools: { readonly signal: AbortSignal }) => Promise<void>;
}

/** A child as it should be. It needs a name; its namespace and its owner are written for it. */
export type Wanted<R> = Some<Omit<ResourceObject<R>, 'metadata'>> & {
  readonly metadata: Some<KubeObject['metadata']> & { readonly name: string };
};
/** What the pure form answers: all children that should be, of each resource in `owns`; those left out go. */
export interface SyncResult<O extends string, Status> {
  readonly children?: { readonly [R in O]?: readonly Wanted<R>[] };
  readonly status?: Status;
  readonly again?: Delay;
}

export interface Admitted<T> {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly object: T;
  /** Absent for a creation. */
  readonly old?: T;
  readonly user: UserInfo;
  readonly dryRun: boolean;
}
/** true allows; a text refuses with it. */
export type Judgement = boolean | string;

type Labels = Readonly<Record<string, string>>;
export interface Counter {
  inc(by?: number, labels?: Labels): void;
}
export interface Gauge {
  set(value: number, labels?: Labels): void;
}
/** Registered in setup(), which declares them. At most 200 names and 1,000 series; what is beyond is dropped and counted. */
export interface Metrics {
  /** `labels`: the only ones that it takes. */
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  gauge(name: string, help: string, labels?: readonly string[]): Gauge;
}

export interface PluginContext<N, C> extends ContributionCalls {
  /** The Kubernetes API, as the plugin's own account. */
  readonly api: Api<N>;
  readonly config: C;
  readonly metrics: Metrics;
  /** The node that this instance runs on; absent with placement `cluster`. */
  readonly nodeName?: string;
  /** Milliseconds since the epoch. */
  now(): number;
  readonly signal: AbortSignal;
  log(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Level-driven: called for each object whenever it or a child changed, and safe to be called twice. Throw retry() or fatal(). */
  reconcile<Spec, Status, O extends Followed<N> = never>(
    resource: CustomResource<Spec, Status>,
    options: ReconcileOptions<O, Spec, Status>,
    run: (object: CustomView<Spec, Status>, tools: ReconcileTools<N, O, Status>) => Promise<Again | void>,
  ): void;
  /**
   * The pure form of reconcile: from the object and its children to the children that should be. What it answers is
   * applied (server-side apply), what it leaves out is deleted. Called whenever one of them changes.
   */
  sync<Spec, Status, O extends Kept<N>>(
    resource: CustomResource<Spec, Status>,
    options: { readonly owns: readonly O[] },
    decide: (
      object: CustomView<Spec, Status>,
      owned: { readonly [R in O]: readonly View<ResourceObject<R>>[] },
      at: { readonly nowMs: number },
    ) => SyncResult<O, Status>,
  ): void;
  /** Refuses what schemas cannot express. Runs for creations and changes of its own kinds on every write path (`on` adds deletions); fails closed. */
  validate<Spec, Status>(
    resource: CustomResource<Spec, Status>,
    judge: (request: Admitted<CustomView<Spec, Status>>) => Judgement | Promise<Judgement>,
    options?: { readonly on?: readonly Admitted<unknown>['operation'][] },
  ): void;
  /**
   * The same for a kind of others, which `needs` names with `validate`: its objects as they are written, in whatever version.
   * Goes open without an answer, unless the operator lists it in spec.failClosed.
   */
  validate<R extends Hooked<N, 'validate'>>(
    resource: R,
    judge: (request: Admitted<View<ResourceObject<R>>>) => Judgement | Promise<Judgement>,
    options?: { readonly on?: readonly Admitted<unknown>['operation'][] },
  ): void;
  /** Changes a draft in place before it is validated: its spec, labels, annotations, finalizers. */
  mutate<Spec, Status>(
    resource: CustomResource<Spec, Status>,
    change: (request: Admitted<{ metadata: KubeObject['metadata']; spec: unknown }>) => void | Promise<void>,
  ): void;
  /** The same for a kind of others, which `needs` names with `mutate`. Goes on without an answer, as above. */
  mutate<R extends Hooked<N, 'mutate'>>(
    resource: R,
    change: (request: Admitted<ResourceObject<R>>) => void | Promise<void>,
  ): void;
}

type AnyResource = CustomResource<unknown, unknown, unknown> | CustomResource<never, never, never>;
export interface PluginDefinition<N, S> {
  /** Lower-case letters, digits and hyphens. */
  readonly name: string;
  /** Semantic version. */
  readonly version: string;
  /** Range of SDK versions, such as ^1.0. */
  readonly sdk: string;
  /** Names of plugins that must be active before this one starts. They meet through API objects, never by imports. */
  readonly requires?: readonly string[];
  /** Names of plugins that must not run beside this one. */
  readonly conflicts?: readonly string[];
  /** Names of plugins whose place this one takes: once they are uninstalled or paused it starts, and their kinds become its own. */
  readonly replaces?: readonly string[];
  readonly needs?: N & { readonly [R in keyof N]: R extends ResourceName | 'net' ? N[R] : never };
  readonly config?: S;
  /**
   * Where it runs: once in the cluster (default), or as one instance on every node, or on those that the operator names in
   * `spec.nodes`. What runs on nodes has no hooks: these are asked in one place.
   */
  readonly placement?: 'cluster' | 'every-node' | 'named-nodes';
  readonly resources?: readonly AnyResource[];
  /** Registers; within 10 s. Everything it makes through the context is undone by the host. */
  setup(context: PluginContext<N, TypeOf<S>>): void | Promise<void>;
}
export type Plugin = PluginDefinition<Needs, never>;

/** A plugin: the default export of its file. Throws at once on a name or version that cannot be. */
export function plugin<const N extends Needs, S = never>(definition: PluginDefinition<N, S>): Plugin {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(definition.name))
    throw new Error(`plugin: the name "${definition.name}" must be lower-case letters, digits and hyphens`);
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(definition.version))
    throw new Error(`plugin: the version "${definition.version}" must be like 1.2.0`);
  return definition as unknown as Plugin;
}

/** Try again: after the delay, else with back-off. */
export class RetryError extends Error {
  override readonly name = 'RetryError';
  constructor(
    message: string,
    readonly delay: Delay | undefined,
  ) {
    super(message);
  }
}
export const retry = (why: string, delay?: Delay): RetryError => new RetryError(why, delay);
