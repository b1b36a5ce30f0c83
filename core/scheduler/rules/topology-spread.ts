import { matchesLabels, type Pod, type Selector, type TopologySpreadConstraint } from '#api';
import { accept, type CycleState, type NodeInfo, refuse, type SchedulerPlugin } from '#sdk';
import { nodeSelected } from './node-affinity.ts';
import { parsedSelector } from './selectors.ts';
import { tolerated } from './tolerations.ts';

interface Constraint {
  readonly key: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  readonly honourAffinity: boolean;
  readonly honourTaints: boolean;
  readonly matches: (other: Readonly<Pod>) => boolean;
  /** Siblings of one controller are what is asked for most: each node's are counted once. */
  readonly owner?: string;
}
interface Counted {
  readonly constraints: readonly Constraint[];
  /** For each constraint: matching pods by value of its topology key, of the nodes that count. */
  readonly counts: readonly Map<string, number>[];
  /** The fewest in any domain; absent after a change. */
  readonly fewest: (number | undefined)[];
}
interface Scored extends Counted {
  readonly weights: readonly number[];
  /** Nodes without all keys: they get the lowest score. */
  readonly outside: ReadonlySet<NodeInfo>;
}
const name = 'PodTopologySpread';
const [hard, soft] = [name, `${name}/scores`];
const hostname = 'kubernetes.io/hostname';
/** What upstream spreads by when a pod says nothing. */
const defaults = [
  { key: hostname, maxSkew: 3 },
  { key: 'topology.kubernetes.io/zone', maxSkew: 5 },
];

function constraintOf(pod: Readonly<Pod>, from: Readonly<TopologySpreadConstraint>): Constraint {
  const keyed: Selector = (from.matchLabelKeys ?? [])
    .filter((key) => pod.metadata.labels?.[key] !== undefined)
    .map((key) => ({ key, operator: 'in', values: [pod.metadata.labels![key]!] }));
  const selector = from.labelSelector && [...parsedSelector(from.labelSelector), ...keyed];
  return {
    key: from.topologyKey,
    maxSkew: from.maxSkew,
    minDomains: from.minDomains ?? 1,
    honourAffinity: from.nodeAffinityPolicy !== 'Ignore',
    honourTaints: from.nodeTaintsPolicy === 'Honor',
    matches: (other) => !!selector && matchesLabels(selector, other.metadata.labels),
  };
}
const ownerOf = (pod: Readonly<Pod>): string | undefined =>
  pod.metadata.ownerReferences?.find((owner) => owner.controller)?.uid;

/** Without constraints of its own a pod spreads from its siblings: those of the same controller. */
function softConstraints(pod: Readonly<Pod>): Constraint[] {
  const own = pod.spec?.topologySpreadConstraints ?? [];
  if (own.length > 0)
    return own.filter((one) => one.whenUnsatisfiable === 'ScheduleAnyway').map((one) => constraintOf(pod, one));
  const owner = ownerOf(pod);
  if (!owner) return [];
  const shared = { minDomains: 1, honourAffinity: true, honourTaints: false };
  return defaults.map((one) => ({ ...one, ...shared, owner, matches: (other) => ownerOf(other) === owner }));
}
/** By controller; kept with the node's info, which is made anew when anything on the node changes. */
const siblingsOn = new WeakMap<NodeInfo, ReadonlyMap<string, number>>();
function siblings(info: NodeInfo): ReadonlyMap<string, number> {
  let known = siblingsOn.get(info);
  if (known) return known;
  const counts = new Map<string, number>();
  for (const pod of info.pods) {
    const owner = pod.metadata.deletionTimestamp ? undefined : ownerOf(pod);
    if (owner !== undefined) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  siblingsOn.set(info, (known = counts));
  return known;
}

const valueAt = (key: string, { node }: NodeInfo): string | undefined => node.metadata.labels?.[key];
const hasAllKeys = (constraints: readonly Constraint[], info: NodeInfo): boolean =>
  constraints.every((one) => valueAt(one.key, info) !== undefined);
const blocks = (taint: { effect: string }): boolean => taint.effect === 'NoSchedule' || taint.effect === 'NoExecute';
function counts(pod: Readonly<Pod>, constraint: Constraint, { node }: NodeInfo): boolean {
  if (constraint.honourAffinity && !nodeSelected(pod, node)) return false;
  return !constraint.honourTaints || !(node.spec?.taints ?? []).some((one) => blocks(one) && !tolerated(pod, one));
}
const isCounted = (constraint: Constraint, pod: Readonly<Pod>, other: Readonly<Pod>): boolean =>
  !other.metadata.deletionTimestamp && other.metadata.namespace === pod.metadata.namespace && constraint.matches(other);
const matchingOn = (constraint: Constraint, pod: Readonly<Pod>, info: NodeInfo): number =>
  constraint.owner === undefined
    ? info.pods.reduce((sum, other) => sum + (isCounted(constraint, pod, other) ? 1 : 0), 0)
    : (siblings(info).get(constraint.owner) ?? 0);

/** Pods spread over the values of a node label: `maxSkew` is the most that one may have over the emptiest. */
export const topologySpread: SchedulerPlugin = {
  name,
  retryOn: ['node', 'pod', 'pod-deleted'],
  weight: 2,
  preFilter(pod, state) {
    const constraints = (pod.spec?.topologySpreadConstraints ?? [])
      .filter((one) => one.whenUnsatisfiable === 'DoNotSchedule')
      .map((one) => constraintOf(pod, one));
    if (constraints.length === 0) return undefined;
    const all = constraints.map(() => new Map<string, number>());
    for (const info of state.nodes) {
      if (!hasAllKeys(constraints, info)) continue;
      for (const [index, one] of constraints.entries()) {
        if (!counts(pod, one, info)) continue;
        const value = valueAt(one.key, info)!;
        all[index]!.set(value, (all[index]!.get(value) ?? 0) + matchingOn(one, pod, info));
      }
    }
    state.data.set(hard, { constraints, counts: all, fewest: constraints.map(() => undefined) } satisfies Counted);
    return undefined;
  },
  shift(pod, info, other, by, state) {
    const counted = state.data.get(hard) as Counted | undefined;
    if (!counted || !hasAllKeys(counted.constraints, info)) return;
    for (const [index, one] of counted.constraints.entries()) {
      if (!isCounted(one, pod, other) || !counts(pod, one, info)) continue;
      const value = valueAt(one.key, info)!;
      counted.counts[index]!.set(value, (counted.counts[index]!.get(value) ?? 0) + by);
      counted.fewest[index] = undefined;
    }
  },
  filter(pod, info, state) {
    const counted = state.data.get(hard) as Counted | undefined;
    if (!counted) return accept;
    for (const [index, one] of counted.constraints.entries()) {
      const value = valueAt(one.key, info);
      if (value === undefined)
        return refuse("node(s) didn't match pod topology spread constraints (missing required label)");
      const here = (counted.counts[index]!.get(value) ?? 0) + (one.matches(pod) ? 1 : 0);
      if (here - fewestOf(counted, index) > one.maxSkew)
        return refuse("node(s) didn't match pod topology spread constraints", true);
    }
    return accept;
  },
  preScore: countForScores,
  score(pod, info, state) {
    const scored = state.data.get(soft) as Scored | undefined;
    if (!scored || scored.outside.has(info)) return 0;
    let score = 0;
    for (const [index, one] of scored.constraints.entries()) {
      const value = valueAt(one.key, info);
      if (value === undefined) continue;
      const here = one.key === hostname ? matchingOn(one, pod, info) : (scored.counts[index]!.get(value) ?? 0);
      score += here * scored.weights[index]! + one.maxSkew - 1;
    }
    return Math.round(score);
  },
  normalize(scores, fitting, state) {
    const scored = state.data.get(soft) as Scored | undefined;
    if (!scored) return;
    const inside = scores.filter((_, index) => !scored.outside.has(fitting[index]!));
    const [least, most] = [Math.min(...inside), Math.max(0, ...inside)];
    for (const [index, score] of scores.entries())
      if (scored.outside.has(fitting[index]!)) scores[index] = 0;
      else scores[index] = most === 0 ? 100 : Math.trunc((100 * (most + least - score)) / most);
  },
};

/** The emptiest domain's count; none is empty enough while there are fewer domains than `minDomains`. */
function fewestOf(counted: Counted, index: number): number {
  const domains = counted.counts[index]!;
  if (domains.size < counted.constraints[index]!.minDomains) return 0;
  if (domains.size === 0) return Number.POSITIVE_INFINITY; // no node counts: every node would do
  counted.fewest[index] ??= Math.min(...domains.values());
  return counted.fewest[index]!;
}

/** Counts in the domains of the fitting nodes; by host the score looks at the node itself. */
function countForScores(pod: Readonly<Pod>, fitting: readonly NodeInfo[], state: CycleState): void {
  const constraints = softConstraints(pod);
  if (constraints.length === 0) return;
  const needsAll = (pod.spec?.topologySpreadConstraints ?? []).length > 0;
  const outside = new Set(needsAll ? fitting.filter((info) => !hasAllKeys(constraints, info)) : []);
  const all = constraints.map(() => new Map<string, number>());
  for (const info of fitting)
    if (!outside.has(info))
      for (const [index, one] of constraints.entries()) {
        const value = one.key === hostname ? undefined : valueAt(one.key, info);
        if (value !== undefined) all[index]!.set(value, 0);
      }
  const isCrossNode = all.some((domains) => domains.size > 0);
  for (const info of isCrossNode ? state.nodes : []) {
    if (needsAll && !hasAllKeys(constraints, info)) continue;
    for (const [index, one] of constraints.entries()) {
      const value = valueAt(one.key, info);
      const before = value === undefined ? undefined : all[index]!.get(value);
      if (before !== undefined && counts(pod, one, info)) all[index]!.set(value!, before + matchingOn(one, pod, info));
    }
  }
  // Small topologies must not be drowned by large ones.
  const sizes = constraints.map((one, index) =>
    one.key === hostname ? fitting.length - outside.size : all[index]!.size,
  );
  const weights = sizes.map((size) => Math.log(size + 2));
  state.data.set(soft, { constraints, counts: all, fewest: [], weights, outside } satisfies Scored);
}
