import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, PodDisruptionBudget, StorageClass } from '#api';

/** A refusal is a value with a reason, never an exception. `fixable`: preemption could help. */
export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string; readonly fixable: boolean };
export const accept: Verdict = { ok: true };
export const refuse = (reason: string, fixable = false): Verdict => ({ ok: false, reason, fixable });
/** What a preFilter says of the pod as a whole: nothing, that it can go nowhere, or only to these nodes. */
export type PreVerdict =
  | { readonly ok: true; readonly nodes: ReadonlySet<string> }
  | { readonly ok: false; readonly reason: string };

export interface NodeInfo {
  readonly node: Readonly<Node>;
  readonly pods: readonly Readonly<Pod>[];
  /** Sums of requests of the pods here: millicores, bytes, count, and others by name in whole units. */
  readonly requested: {
    readonly cpuMilli: number;
    readonly memoryBytes: number;
    readonly pods: number;
    readonly other: Readonly<Record<string, number>>;
  };
  readonly allocatable: {
    readonly cpuMilli: number;
    readonly memoryBytes: number;
    readonly pods: number;
    readonly other: Readonly<Record<string, number>>;
  };
}
/** What else of the cluster a rule may ask for; cached, read-only. */
export interface ClusterView {
  namespaceLabels(name: string): Readonly<Record<string, string>> | undefined;
  claim(namespace: string, name: string): Readonly<PersistentVolumeClaim> | undefined;
  volume(name: string): Readonly<PersistentVolume> | undefined;
  volumes(): readonly Readonly<PersistentVolume>[];
  storageClass(name: string): Readonly<StorageClass> | undefined;
  budgets(): readonly Readonly<PodDisruptionBudget>[];
}
export interface CycleState {
  readonly nodes: readonly NodeInfo[];
  readonly cluster: ClusterView;
  /** What a preFilter left for its filter and score. */
  readonly data: Map<string, unknown>;
}
/** What a rule may wait for: a change of that kind brings refused pods back into the queue. */
export type RetryOn = 'node' | 'pod' | 'pod-deleted' | 'namespace' | 'volume';
export interface SchedulerPlugin {
  readonly name: string;
  readonly retryOn?: readonly RetryOn[];
  preFilter?(pod: Readonly<Pod>, state: CycleState): PreVerdict | undefined;
  filter?(pod: Readonly<Pod>, node: NodeInfo, state: CycleState): Verdict;
  /**
   * In thought `other` comes to (1) or leaves (-1) a node: brings what preFilter left up to date. Both are always undone.
   * For rules whose verdict on a node depends on pods of other nodes; a filter that looks at `node.pods` needs none.
   */
  shift?(pod: Readonly<Pod>, node: NodeInfo, other: Readonly<Pod>, by: 1 | -1, state: CycleState): void;
  /** Before scores are asked for: the nodes that are left. */
  preScore?(pod: Readonly<Pod>, fitting: readonly NodeInfo[], state: CycleState): void;
  /** 0 to 100, times the weight; of any size where there is a `normalize`. */
  score?(pod: Readonly<Pod>, node: NodeInfo, state: CycleState): number;
  /** Brings the scores of all fitting nodes, in their order, to 0 to 100, in place. */
  normalize?(scores: number[], fitting: readonly NodeInfo[], state: CycleState): void;
  readonly weight?: number;
  reserve?(pod: Readonly<Pod>, node: NodeInfo): void;
  unreserve?(pod: Readonly<Pod>, node: NodeInfo): void;
}

/** What an adviser says of the nodes it was asked about, in their order. */
export interface Advice {
  /** true, or why not. */
  readonly filter?: readonly (true | string)[];
  /** 0 to 100. */
  readonly scores?: readonly number[];
  /** Of the scores; default 1. */
  readonly weight?: number;
  /** It wants the last word before a pod is bound. */
  readonly permits?: boolean;
}
/** A scheduling rule that runs elsewhere: asked once for each pod about all nodes that the rules here leave. */
export interface SchedulingAdviser {
  readonly name: string;
  /** Without its answer no pod is placed; else its filter is skipped and its score is 0. */
  readonly required: boolean;
  /** Rejects when there is no answer in time. */
  advise(pod: Readonly<Pod>, nodes: readonly Readonly<Node>[]): Promise<Advice>;
  /** true, or why the pod is not bound now. */
  permit(pod: Readonly<Pod>, node: string): Promise<true | string>;
}
