// Made by crds/gen/generate.ts from crds/plugins.pintle.dev/plugins.yaml.
import type { ObjectMeta } from '#api';

/** An installed plugin. Its name is the plugin's. */
export interface Plugin {
  apiVersion: 'plugins.pintle.dev/v1';
  kind: 'Plugin';
  metadata: ObjectMeta;
  /** What is to run, and what it may do. */
  spec: PluginSpec;
  /** How it is, as the plugin host sees it. */
  status?: PluginStatus;
}

/** What is to run, and what it may do. */
export interface PluginSpec {
  /** Where it came from, for people. The code is the bundle with this digest in the host's store. */
  source?: string;
  /** `sha256:` and the digest of its plugin.json. Checked at install and at every start. */
  digest: string;
  /** Such as 1.2.0. */
  version: string;
  /** Its role, resource to verbs. What it needs beyond is refused. */
  approvedNeeds?: Record<string, string[]>;
  /** What it is told, by its own schema. */
  config?: Record<string, unknown>;
  /** A stronger level than the plugin asks for. A weaker one is refused. */
  isolation?: 'process' | 'sandbox';
  /** Its processes are stopped, its objects stay. */
  paused?: boolean;
  /**
   * Of a plugin whose placement is named-nodes. It runs on nodes with one of the names or with all of the
   * labels.
   */
  nodes?: PluginSpecNodes;
  /** Mutating hooks of plugins with a lower number run first; by name among equals. Without it 0. */
  hookPriority?: number;
  /** Hooks beyond its own kinds, as status.hooks names them, without whose answer requests are refused. */
  failClosed?: string[];
  /** What happens to its custom resources when it is uninstalled. Without it they are kept. */
  dataPolicy?: 'Keep' | 'Delete';
}

/**
 * Of a plugin whose placement is named-nodes. It runs on nodes with one of the names or with all of the
 * labels.
 */
export interface PluginSpecNodes {
  names?: string[];
  matchLabels?: Record<string, string>;
}

/** How it is, as the plugin host sees it. */
export interface PluginStatus {
  phase?: 'Pending' | 'Starting' | 'Active' | 'Backoff' | 'Failed' | 'Quarantined' | 'Paused' | 'Draining';
  conditions?: PluginStatusConditionsItem[];
  /** The version that runs. */
  activeVersion?: string;
  /** A version that was healthy, and what was approved of its needs then. */
  lastGood?: PluginStatusLastGood;
  /** A version that was healthy, and what was approved of its needs then. */
  previous?: PluginStatusPrevious;
  /** After an upgrade. Until then a version that does badly makes way for the fallback. */
  probation?: PluginStatusProbation;
  restarts?: number;
  memoryBytes?: number;
  /** Facts in force, as the launcher reported them. */
  sandbox?: string[];
  observedGeneration?: number;
  /** Those that are attached. */
  hooks?: PluginStatusHooksItem[];
  /** Of a plugin that runs on nodes. These may act as its account. */
  placement?: 'every-node' | 'named-nodes';
  /** One for each node that it is on, written by that node. The first 500. */
  nodes?: PluginStatusNodesItem[];
  /** Kinds of API groups that it serves while it is attached. */
  apis?: Record<string, unknown>[];
  panels?: Record<string, unknown>[];
  commands?: Record<string, unknown>[];
}

export interface PluginStatusConditionsItem {
  type: 'Verified' | 'Approved' | 'Resolved' | 'Loaded' | 'Healthy' | 'Degraded' | 'Quarantined';
  status: 'True' | 'False';
  reason: string;
  message: string;
  lastTransitionTime: string;
}

/** A version that was healthy, and what was approved of its needs then. */
export interface PluginStatusLastGood {
  version: string;
  digest: string;
  approvedNeeds?: Record<string, string[]>;
}

/** A version that was healthy, and what was approved of its needs then. */
export interface PluginStatusPrevious {
  version: string;
  digest: string;
  approvedNeeds?: Record<string, string[]>;
}

/** After an upgrade. Until then a version that does badly makes way for the fallback. */
export interface PluginStatusProbation {
  until: string;
  /** A version that was healthy, and what was approved of its needs then. */
  fallback: PluginStatusProbationFallback;
}

/** A version that was healthy, and what was approved of its needs then. */
export interface PluginStatusProbationFallback {
  version: string;
  digest: string;
  approvedNeeds?: Record<string, string[]>;
}

export interface PluginStatusHooksItem {
  /** Such as `validate crontasks.cron.example.com`. */
  name: string;
  priority: number;
  /** What holds without an answer. */
  failurePolicy: 'Fail' | 'Ignore';
  /** Of the last 256 calls, such as `0.4ms`. */
  p50?: string;
  p99?: string;
  /** Calls without an answer in time. */
  timeouts: number;
}

export interface PluginStatusNodesItem {
  name: string;
  phase: 'Starting' | 'Active' | 'Backoff' | 'Failed' | 'Quarantined' | 'Paused';
  version?: string;
  digest?: string;
  restarts: number;
  sandbox: string[];
  message?: string;
  /** What was asked for then has been reached, or was given up. */
  observedGeneration: number;
}
