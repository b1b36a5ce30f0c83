import type { Pod } from '#api';
import type { CycleState, NodeInfo, SchedulerPlugin } from '#sdk';
import { nodeInfoOf } from './node-info.ts';

/** One pod held against nodes, some of whose pods may have been taken away or added in thought. */
export interface Trial {
  readonly pod: Readonly<Pod>;
  readonly rules: readonly SchedulerPlugin[];
  readonly state: CycleState;
  nominatedOn(node: string): readonly Readonly<Pod>[];
}
export interface Refusal {
  readonly rule: string;
  readonly reasons: readonly string[];
  /** Taking pods away could help. */
  readonly fixable: boolean;
}
export const isRefused = (one: object): one is { readonly reasons: readonly string[] } => 'reasons' in one;
export const priorityOf = (pod: Readonly<Pod>): number => pod.spec?.priority ?? 0;

/**
 * Why the pod cannot go there; undefined: it can. Room that is kept for pods of its own or higher priority is not its own,
 * and it must fit without them too, for they may never come (and it could depend on them).
 */
export function refusalOf(trial: Trial, info: NodeInfo): Refusal | undefined {
  const { pod } = trial;
  const expected = trial
    .nominatedOn(info.node.metadata.name!)
    .filter((other) => priorityOf(other) >= priorityOf(pod) && other.metadata.uid !== pod.metadata.uid);
  if (expected.length > 0) {
    shift(trial, info, expected, 1);
    const refusal = firstRefusal(trial, nodeInfoOf(info.node, [...info.pods, ...expected]));
    shift(trial, info, expected, -1);
    if (refusal) return refusal;
  }
  return firstRefusal(trial, info);
}

/** Tells the rules that pods come to a node (1) or leave it (-1) in thought. */
export function shift(
  { pod, rules, state }: Trial,
  info: NodeInfo,
  others: readonly Readonly<Pod>[],
  by: 1 | -1,
): void {
  for (const rule of rules) if (rule.shift) for (const other of others) rule.shift(pod, info, other, by, state);
}

/** The first rule that refuses speaks for the node; resources name every lack at once. */
function firstRefusal({ pod, rules, state }: Trial, info: NodeInfo): Refusal | undefined {
  for (const rule of rules) {
    const verdict = rule.filter?.(pod, info, state);
    if (verdict && !verdict.ok)
      return { rule: rule.name, reasons: verdict.reason.split('\n'), fixable: verdict.fixable };
  }
  return undefined;
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.` */
export function asMessage(nodes: number, reasons: readonly string[]): string {
  const counts = Map.groupBy(reasons, (reason) => reason);
  const parts = [...counts].map(([reason, all]) => `${all.length} ${reason}`).sort();
  return `0/${nodes} nodes are available: ${parts.join(', ')}.`;
}
