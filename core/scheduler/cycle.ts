import type { Pod } from '#api';
import type { CycleState, NodeInfo, SchedulerPlugin } from '#sdk';

export type Outcome =
  | { readonly type: 'bind'; readonly node: string }
  | {
      readonly type: 'none';
      readonly message: string /** Rules that refused at least one node. */;
      readonly refusedBy: readonly string[];
    };

/** Decides where one pod goes. Pure: the same pod, nodes and chance give the same answer. `chance` breaks ties. */
export function schedule(
  pod: Readonly<Pod>,
  nodes: readonly NodeInfo[],
  rules: readonly SchedulerPlugin[],
  chance: () => number,
): Outcome {
  if (nodes.length === 0) return { type: 'none', message: 'no nodes available to schedule pods', refusedBy: [] };
  const state: CycleState = { nodes, data: new Map() };
  for (const rule of rules) rule.preFilter?.(pod, state);
  const reasons = new Map<string, number>();
  const refusedBy = new Set<string>();
  const fitting: NodeInfo[] = [];
  const fixable: NodeInfo[] = [];
  for (const node of nodes) {
    const refusal = refusalOf(pod, node, rules, state);
    if (!refusal) {
      fitting.push(node);
      continue;
    }
    refusedBy.add(refusal.rule);
    if (refusal.fixable) fixable.push(node);
    for (const reason of refusal.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  if (fitting.length === 0) {
    const message = messageOf(nodes.length, reasons) + preemptionText(pod, nodes.length, fixable);
    return { type: 'none', message, refusedBy: [...refusedBy] };
  }
  return { type: 'bind', node: best(pod, fitting, rules, state, chance) };
}

/** The first rule that refuses speaks for the node; resources name every lack at once. */
function refusalOf(
  pod: Readonly<Pod>,
  node: NodeInfo,
  rules: readonly SchedulerPlugin[],
  state: CycleState,
): { rule: string; reasons: string[]; fixable: boolean } | undefined {
  for (const rule of rules) {
    const verdict = rule.filter?.(pod, node, state);
    if (verdict && !verdict.ok)
      return { rule: rule.name, reasons: verdict.reason.split('\n'), fixable: verdict.fixable };
  }
  return undefined;
}

/**
 * What taking other pods' places would bring, in upstream's words. Nothing is preempted yet: where a node has pods of
 * lower priority nothing is claimed.
 */
function preemptionText(pod: Readonly<Pod>, nodes: number, fixable: readonly NodeInfo[]): string {
  if (pod.spec?.preemptionPolicy === 'Never') return ' preemption: not eligible due to preemptionPolicy=Never.';
  const priority = pod.spec?.priority ?? 0;
  if (fixable.some((node) => node.pods.some((other) => (other.spec?.priority ?? 0) < priority))) return '';
  const reasons = new Map<string, number>();
  if (fixable.length) reasons.set('No preemption victims found for incoming pod', fixable.length);
  if (nodes > fixable.length) reasons.set('Preemption is not helpful for scheduling', nodes - fixable.length);
  return ` preemption: ${messageOf(nodes, reasons)}`;
}

function best(
  pod: Readonly<Pod>,
  nodes: readonly NodeInfo[],
  rules: readonly SchedulerPlugin[],
  state: CycleState,
  chance: () => number,
): string {
  if (nodes.length === 1) return nodes[0]!.node.metadata.name!;
  let top: NodeInfo[] = [];
  let topScore = Number.NEGATIVE_INFINITY;
  for (const node of nodes) {
    let score = 0;
    for (const rule of rules) if (rule.score) score += rule.score(pod, node, state) * (rule.weight ?? 1);
    if (score > topScore) [top, topScore] = [[node], score];
    else if (score === topScore) top.push(node);
  }
  return top[Math.floor(chance() * top.length)]!.node.metadata.name!;
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.` */
export function messageOf(nodes: number, reasons: ReadonlyMap<string, number>): string {
  const parts = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort();
  return `0/${nodes} nodes are available: ${parts.join(', ')}.`;
}
