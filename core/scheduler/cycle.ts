import type { Pod } from '#api';
import type { CycleState, NodeInfo, SchedulerPlugin } from '#sdk';

export type Decision =
  | { readonly node: string }
  /** `rules` are the names of the rules that refused: what could change their mind wakes the pod. */
  | { readonly node: undefined; readonly message: string; readonly rules: ReadonlySet<string> };

/** One pod against all nodes: filter, score, choose. Pure; `chance` in [0, 1) breaks ties. A rule may refuse with several reasons, one a line. */
export function schedule(
  pod: Readonly<Pod>,
  nodes: readonly NodeInfo[],
  rules: readonly SchedulerPlugin[],
  chance: number,
): Decision {
  if (nodes.length === 0)
    return {
      node: undefined,
      message: '0/0 nodes are available: no nodes available to schedule pods.',
      rules: new Set(),
    };
  const state: CycleState = { nodes, data: new Map() };
  for (const rule of rules) rule.preFilter?.(pod, state);
  const reasons = new Map<string, number>();
  const refusing = new Set<string>();
  const fitting: NodeInfo[] = [];
  let fixable = 0;
  for (const node of nodes) {
    const refusal = firstRefusal(pod, node, rules, state);
    if (!refusal) {
      fitting.push(node);
      continue;
    }
    refusing.add(refusal.rule);
    if (refusal.fixable) fixable++;
    for (const reason of refusal.reason.split('\n')) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  if (fitting.length === 0)
    return { node: undefined, message: messageOf(nodes.length, reasons, fixable), rules: refusing };
  return { node: best(pod, fitting, rules, state, chance) };
}

function firstRefusal(pod: Readonly<Pod>, node: NodeInfo, rules: readonly SchedulerPlugin[], state: CycleState) {
  for (const rule of rules) {
    const verdict = rule.filter?.(pod, node, state);
    if (verdict && !verdict.ok) return { rule: rule.name, reason: verdict.reason, fixable: verdict.fixable };
  }
  return undefined;
}

function best(
  pod: Readonly<Pod>,
  fitting: readonly NodeInfo[],
  rules: readonly SchedulerPlugin[],
  state: CycleState,
  chance: number,
): string {
  let top = -1;
  let names: string[] = [];
  for (const node of fitting) {
    let score = 0;
    for (const rule of rules) if (rule.score) score += rule.score(pod, node, state) * (rule.weight ?? 1);
    if (score > top) [top, names] = [score, []];
    if (score === top) names.push(node.node.metadata.name!);
  }
  return names[Math.floor(chance * names.length)]!;
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 …. preemption: 0/3 nodes are available: …`, as clients know it. */
function messageOf(total: number, reasons: ReadonlyMap<string, number>, fixable: number): string {
  const list = (counts: Iterable<readonly [string, number]>) =>
    [...counts]
      .filter(([, count]) => count > 0)
      .map(([reason, count]) => `${count} ${reason}`)
      .sort()
      .join(', ');
  const preemption = list([
    ['No preemption victims found for incoming pod', fixable],
    ['Preemption is not helpful for scheduling', total - fixable],
  ]);
  return `0/${total} nodes are available: ${list(reasons)}. preemption: 0/${total} nodes are available: ${preemption}.`;
}
