import type { Node, Pod } from '#api';

/** A refusal is a value with a reason, never an exception. `fixable`: preemption could help. */
export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string; readonly fixable: boolean };
export const accept: Verdict = { ok: true };
export const refuse = (reason: string, fixable = false): Verdict => ({ ok: false, reason, fixable });

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
export interface CycleState {
  readonly nodes: readonly NodeInfo[];
  /** What a preFilter left for its filter and score. */
  readonly data: Map<string, unknown>;
}
/** What a rule may wait for: a change of that kind brings refused pods back into the queue. */
export type RetryOn = 'node' | 'pod' | 'pod-deleted';
export interface SchedulerPlugin {
  readonly name: string;
  readonly retryOn?: readonly RetryOn[];
  preFilter?(pod: Readonly<Pod>, state: CycleState): void;
  filter?(pod: Readonly<Pod>, node: NodeInfo, state: CycleState): Verdict;
  /** 0 to 100, times the weight. */
  score?(pod: Readonly<Pod>, node: NodeInfo, state: CycleState): number;
  readonly weight?: number;
  reserve?(pod: Readonly<Pod>, node: NodeInfo): void;
  unreserve?(pod: Readonly<Pod>, node: NodeInfo): void;
}
