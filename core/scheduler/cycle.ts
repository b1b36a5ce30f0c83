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
  for (const node of nodes) {
    const refusals = refusalsOf(pod, node, rules, state);
    if (refusals.length === 0) fitting.push(node);
    for (const { rule, reason } of refusals) {
      refusedBy.add(rule);
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
  }
  if (fitting.length === 0)
    return { type: 'none', message: messageOf(nodes.length, reasons), refusedBy: [...refusedBy] };
  return { type: 'bind', node: best(pod, fitting, rules, state, chance) };
}

/** The first rule that refuses speaks for the node; resources name every lack at once. */
function refusalsOf(
  pod: Readonly<Pod>,
  node: NodeInfo,
  rules: readonly SchedulerPlugin[],
  state: CycleState,
): { rule: string; reason: string }[] {
  for (const rule of rules) {
    const verdict = rule.filter?.(pod, node, state);
    if (verdict && !verdict.ok) return verdict.reason.split('\n').map((reason) => ({ rule: rule.name, reason }));
  }
  return [];
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
