import type { Pod } from '#api';
import type { ClusterView, CycleState, NodeInfo, SchedulerPlugin } from '#sdk';
import { type Candidate, findVictims, isTerminatingForOthers } from './preemption.ts';
import { asMessage, isRefused, type Refusal, refusalOf, type Trial } from './trial.ts';

export type Outcome =
  | { readonly type: 'bind'; readonly node: string }
  | {
      readonly type: 'none';
      readonly message: string;
      /** Rules that refused at least one node. */
      readonly refusedBy: readonly string[];
      /** Pods to take away, and the node that is then kept for this one. */
      readonly preemption?: Candidate;
      /** A nomination that the pod still has is of no use. */
      readonly isHopeless: boolean;
    };
/** What a decision is made from. */
export interface View {
  readonly nodes: readonly NodeInfo[];
  readonly cluster: ClusterView;
  /** Unbound pods for which room on this node is kept. */
  nominatedOn(node: string): readonly Readonly<Pod>[];
}

/** Decides where one pod goes. Pure: the same pod, view and chance give the same answer. `chance` breaks ties. */
export function schedule(
  pod: Readonly<Pod>,
  view: View,
  rules: readonly SchedulerPlugin[],
  chance: () => number,
): Outcome {
  const { nodes, cluster } = view;
  if (nodes.length === 0)
    return { type: 'none', message: 'no nodes available to schedule pods', refusedBy: [], isHopeless: true };
  const state: CycleState = { nodes, cluster, data: new Map() };
  const trial: Trial = { pod, rules, state, nominatedOn: (node) => view.nominatedOn(node) };
  const before = beforeNodes(trial);
  if (before.type === 'refused') {
    const message = `0/${nodes.length} nodes are available: ${before.reason}. not found`; // so ends upstream's text
    return { type: 'none', message, refusedBy: [before.rule], isHopeless: true };
  }
  const nominated = nodes.find((info) => info.node.metadata.name === pod.status?.nominatedNodeName);
  if (nominated && before.allows(nominated) && !refusalOf(trial, nominated))
    return { type: 'bind', node: nominated.node.metadata.name! };
  const fitting: NodeInfo[] = [];
  const refusals = new Map<NodeInfo, Refusal>();
  for (const info of nodes) {
    const refusal = before.allows(info) ? refusalOf(trial, info) : before.outside;
    if (refusal) refusals.set(info, refusal);
    else fitting.push(info);
  }
  if (fitting.length > 0) return { type: 'bind', node: best(trial, fitting, chance) };
  return refusedOutcome(trial, refusals, nominated, chance);
}

/** Nodes that the rules leave; empty when the pod as a whole is refused, or has a node that is kept for it. Pure. */
export function candidates(pod: Readonly<Pod>, view: View, rules: readonly SchedulerPlugin[]): NodeInfo[] {
  const state: CycleState = { nodes: view.nodes, cluster: view.cluster, data: new Map() };
  const trial: Trial = { pod, rules, state, nominatedOn: (node) => view.nominatedOn(node) };
  const before = beforeNodes(trial);
  if (before.type === 'refused') return [];
  return view.nodes.filter((info) => before.allows(info) && !refusalOf(trial, info));
}

type Before =
  | { readonly type: 'refused'; readonly rule: string; readonly reason: string }
  | { readonly type: 'open'; allows(info: NodeInfo): boolean; readonly outside?: Refusal };

function beforeNodes({ pod, rules, state }: Trial): Before {
  const allowed: ReadonlySet<string>[] = [];
  const narrowing: string[] = [];
  for (const rule of rules) {
    const verdict = rule.preFilter?.(pod, state);
    if (!verdict) continue;
    if (!verdict.ok) return { type: 'refused', rule: rule.name, reason: verdict.reason };
    allowed.push(verdict.nodes);
    narrowing.push(rule.name);
  }
  const reason = `node(s) didn't satisfy plugin(s) [${narrowing.join(' ')}]`;
  return {
    type: 'open',
    allows: ({ node }) => allowed.every((names) => names.has(node.metadata.name!)),
    outside: narrowing[0] === undefined ? undefined : { rule: narrowing[0], reasons: [reason], fixable: false },
  };
}

function refusedOutcome(
  trial: Trial,
  refusals: ReadonlyMap<NodeInfo, Refusal>,
  nominated: NodeInfo | undefined,
  chance: () => number,
): Outcome {
  const all = [...refusals.values()];
  const message = asMessage(
    refusals.size,
    all.flatMap((one) => one.reasons),
  );
  const refusedBy = [...new Set(all.map((one) => one.rule))];
  const none = (text: string, isHopeless: boolean): Outcome => ({
    type: 'none',
    message: `${message} preemption: ${text}`,
    refusedBy,
    isHopeless,
  });
  if (trial.pod.spec?.preemptionPolicy === 'Never') return none('not eligible due to preemptionPolicy=Never.', false);
  if (nominated && refusals.get(nominated)?.fixable && isTerminatingForOthers(trial.pod, nominated))
    return none('not eligible due to a terminating pod on the nominated node.', false);
  const fixable = trial.state.nodes.filter((info) => refusals.get(info)?.fixable);
  const found = findVictims(trial, fixable, chance);
  if (isRefused(found)) {
    const unhelpful = Array<string>(refusals.size - fixable.length).fill('Preemption is not helpful for scheduling');
    return none(asMessage(refusals.size, [...found.reasons, ...unhelpful]), true);
  }
  const text = `found a potential placement for pod on node ${found.node}, preempting ${found.victims.length} victims`;
  return { type: 'none', message: `${message} preemption: ${text}`, refusedBy, preemption: found, isHopeless: false };
}

function best({ pod, rules, state }: Trial, fitting: readonly NodeInfo[], chance: () => number): string {
  if (fitting.length === 1) return fitting[0]!.node.metadata.name!;
  const totals = fitting.map(() => 0);
  for (const rule of rules) {
    if (!rule.score) continue;
    rule.preScore?.(pod, fitting, state);
    const scores = fitting.map((info) => rule.score!(pod, info, state));
    rule.normalize?.(scores, fitting, state);
    for (const [index, score] of scores.entries()) totals[index]! += score * (rule.weight ?? 1);
  }
  const most = Math.max(...totals);
  const top = fitting.filter((_, index) => totals[index] === most);
  return top[Math.floor(chance() * top.length)]!.node.metadata.name!;
}
