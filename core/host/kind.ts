import type { Kind, KubeObject, TypeFacts } from '#api';

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
  readonly isolation?: 'process' | 'sandbox';
  readonly paused?: boolean;
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
  readonly restarts?: number;
  readonly memoryBytes?: number;
  /** Facts in force, as the launcher reported them. */
  readonly sandbox?: readonly string[];
  readonly observedGeneration?: number;
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
