import type { Kind, KubeObject, TypeFacts } from '#api';
import type { CommandFacts, Panel, RestKindFacts } from '#sdk';
import type { Isolation } from './manifest.ts';
import type { NodeChoice, Placement, PluginNode } from './placement.ts';
import type { Rollback } from './rollout.ts';

/** An installed plugin: `plugins.pintle.dev/v1`, cluster scope. */
export type PluginObject = KubeObject & { spec?: PluginSpec; status?: PluginStatus };
export interface PluginSpec {
  /** Where it came from, for people. The code is the bundle with this digest in the host's store. */
  readonly source?: string;
  /** `sha256:` of its plugin.json. */
  readonly digest: string;
  readonly version: string;
  /** Resource → verbs: its role. What it needs beyond is refused. */
  readonly approvedNeeds?: Readonly<Record<string, readonly string[]>>;
  readonly config?: Readonly<Record<string, unknown>>;
  /** A stronger level than the plugin asks for; a weaker one is refused. */
  readonly isolation?: Isolation;
  readonly paused?: boolean;
  /** Of a plugin whose placement is named-nodes: where it runs. */
  readonly nodes?: NodeChoice;
  /** Mutating hooks of plugins with a lower number run first; default 0, by name among equals. */
  readonly hookPriority?: number;
  /** Hooks beyond its own kinds, as status.hooks names them, without whose answer requests are refused. */
  readonly failClosed?: readonly string[];
  /** Of its custom resources when it is uninstalled; default Keep. */
  readonly dataPolicy?: 'Keep' | 'Delete';
}
export type PluginPhase =
  | 'Pending'
  | 'Starting'
  | 'Active'
  | 'Backoff'
  | 'Failed'
  | 'Quarantined'
  | 'Paused'
  | 'Draining';
export interface PluginCondition {
  readonly type: 'Verified' | 'Approved' | 'Resolved' | 'Loaded' | 'Healthy' | 'Degraded' | 'Quarantined';
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}
/** One hook that is attached: called for every request that it is about. */
export interface HookStatus {
  /** `validate crontasks.cron.example.com` */
  readonly name: string;
  readonly priority: number;
  /** What holds without an answer. */
  readonly failurePolicy: 'Fail' | 'Ignore';
  /** Of the last 256 calls, such as `0.4ms`. */
  readonly p50?: string;
  readonly p99?: string;
  /** Calls without an answer in time. */
  readonly timeouts: number;
}
/** A version that was healthy, and what was approved of its needs then. */
export interface KnownVersion {
  readonly version: string;
  readonly digest: string;
  readonly approvedNeeds?: Readonly<Record<string, readonly string[]>>;
}
export interface PluginStatus {
  readonly phase?: PluginPhase;
  readonly conditions?: readonly PluginCondition[];
  readonly activeVersion?: string;
  readonly lastGood?: KnownVersion;
  /** Was good before lastGood. */
  readonly previous?: KnownVersion;
  /** After an upgrade: until then a version that does badly makes way for `fallback`. */
  readonly probation?: {
    readonly until: string;
    readonly fallback: KnownVersion;
  };
  /** Of a plugin that runs on nodes: what they run in place of what was given up. */
  readonly rollback?: Rollback;
  readonly restarts?: number;
  readonly memoryBytes?: number;
  /** Facts in force, as the launcher reported them. */
  readonly sandbox?: readonly string[];
  readonly observedGeneration?: number;
  readonly hooks?: readonly HookStatus[];
  /** Kinds of rest() that are served while it is attached. */
  readonly apis?: readonly RestKindFacts[];
  readonly panels?: readonly Panel[];
  readonly commands?: readonly CommandFacts[];
  /** Of a plugin that runs on nodes: nodes look for it, and may act as its account. */
  readonly placement?: Exclude<Placement, 'cluster'>;
  /** One for each node that it is on, written by that node. */
  readonly nodes?: readonly PluginNode[];
}

export const pluginKind: Kind<PluginObject> = {
  group: 'plugins.pintle.dev',
  version: 'v1',
  kind: 'Plugin',
  plural: 'plugins',
  singular: 'plugin',
  namespaced: false,
  type: 'dev.pintle.plugins.v1.Plugin',
};
/** Nested values are checked by the strategy. */
export const pluginType: TypeFacts = {
  fields: {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'ref', ref: 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
    spec: { type: 'any' },
    status: { type: 'any' },
  },
};
