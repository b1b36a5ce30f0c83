import { matchesLabels, type Pod, type PodDisruptionBudget, selectorOf } from '#api';
import type { NodeInfo } from '#sdk';
import { nodeInfoOf } from './node-info.ts';
import { priorityOf, refusalOf, shift, type Trial } from './trial.ts';

/** Pods to take away from one node, the most important first. */
export interface Candidate {
  readonly node: string;
  readonly victims: readonly Readonly<Pod>[];
  /** How many of them a disruption budget protects. */
  readonly violations: number;
}
/** Of many nodes a tenth is tried, and at least a hundred. */
const triedNodes = { share: 0.1, least: 100 };

/** A victim that still stops on the node: no more are taken until it is gone. */
export function isTerminatingForOthers(pod: Readonly<Pod>, info: NodeInfo): boolean {
  return info.pods.some(
    (other) =>
      other.metadata.deletionTimestamp &&
      priorityOf(other) < priorityOf(pod) &&
      other.status?.conditions?.some(
        (one) => one.type === 'DisruptionTarget' && one.status === 'True' && one.reason === 'PreemptionByScheduler',
      ),
  );
}

/** The node where least is lost, or for each node that was tried why nothing helps there. */
export function findVictims(
  trial: Trial,
  fixable: readonly NodeInfo[],
  chance: () => number,
): Candidate | { readonly reasons: readonly string[] } {
  const enough = Math.min(fixable.length, Math.max(triedNodes.least, Math.floor(fixable.length * triedNodes.share)));
  const first = Math.floor(chance() * fixable.length);
  const budgets = trial.state.cluster.budgets();
  const candidates: Candidate[] = [];
  const reasons: string[] = [];
  for (let count = 0; count < fixable.length; count++) {
    const found = victimsOn(trial, fixable[(first + count) % fixable.length]!, budgets);
    if ('reasons' in found) reasons.push(...found.reasons);
    else candidates.push(found);
    if (candidates.length >= enough && candidates.some((one) => one.violations === 0)) break;
  }
  return candidates.length > 0 ? leastLoss(candidates) : { reasons };
}

/** All less important pods go in thought; then as many as possible come back, protected and important ones first. */
function victimsOn(
  trial: Trial,
  info: NodeInfo,
  budgets: readonly Readonly<PodDisruptionBudget>[],
): Candidate | { readonly reasons: readonly string[] } {
  const lesser = info.pods.filter((other) => priorityOf(other) < priorityOf(trial.pod)).sort(byImportance);
  if (lesser.length === 0) return { reasons: ['No preemption victims found for incoming pod'] };
  const gone = new Set(lesser);
  let violations = 0;
  const left = (): NodeInfo =>
    nodeInfoOf(
      info.node,
      info.pods.filter((other) => !gone.has(other)),
    );
  shift(trial, info, lesser, -1);
  try {
    const refusal = refusalOf(trial, left());
    if (refusal) return { reasons: refusal.reasons };
    const isProtected = protectedBy(budgets, lesser);
    for (const other of [
      ...lesser.filter((one) => isProtected.has(one)),
      ...lesser.filter((one) => !isProtected.has(one)),
    ]) {
      gone.delete(other);
      shift(trial, info, [other], 1);
      if (!refusalOf(trial, left())) continue;
      gone.add(other);
      shift(trial, info, [other], -1);
      if (isProtected.has(other)) violations++;
    }
  } finally {
    shift(trial, info, [...gone], 1);
  }
  const victims = lesser.filter((other) => gone.has(other));
  return victims.length > 0
    ? { node: info.node.metadata.name!, victims, violations }
    : { reasons: [`expected at least one victim pod on node ${JSON.stringify(info.node.metadata.name)}`] };
}

const startedMs = (pod: Readonly<Pod>): number =>
  pod.status?.startTime ? Date.parse(pod.status.startTime) : Number.POSITIVE_INFINITY;
const byImportance = (left: Readonly<Pod>, right: Readonly<Pod>): number =>
  priorityOf(right) - priorityOf(left) || compare(startedMs(left), startedMs(right));
const compare = (left: number, right: number): number => (left === right ? 0 : left < right ? -1 : 1);

/** Which of these pods, taken in order, cost more disruptions than a budget still allows. */
export function protectedBy(
  budgets: readonly Readonly<PodDisruptionBudget>[],
  pods: readonly Readonly<Pod>[],
): ReadonlySet<Readonly<Pod>> {
  const open = budgets
    .filter((one) => one.spec?.selector)
    .map((budget) => ({
      budget,
      selector: selectorOf(budget.spec!.selector!),
      allowed: budget.status?.disruptionsAllowed ?? 0,
    }));
  const isViolating = (pod: Readonly<Pod>): boolean => {
    for (const one of open) {
      const { metadata, status } = one.budget;
      if (one.selector.length === 0 || metadata.namespace !== pod.metadata.namespace) continue;
      if (!matchesLabels(one.selector, pod.metadata.labels)) continue;
      if (status?.disruptedPods && Object.hasOwn(status.disruptedPods, pod.metadata.name ?? '')) continue; // paid already
      if (--one.allowed < 0) return true;
    }
    return false;
  };
  return new Set(pods.filter((pod) => Object.keys(pod.metadata.labels ?? {}).length > 0 && isViolating(pod)));
}

/** Upstream's order: fewest protected, lowest of the highest priorities, smallest sum, fewest, youngest of the highest. */
export function leastLoss(candidates: readonly Candidate[]): Candidate {
  const offset = 2 ** 31; // a few pods of negative priority must not look better than one
  const youngest = ({ victims }: Candidate): number => {
    const top = victims.filter((one) => priorityOf(one) === priorityOf(victims[0]!));
    return Math.min(...top.map(startedMs));
  };
  const losses: ((one: Candidate) => number)[] = [
    (one) => one.violations,
    (one) => priorityOf(one.victims[0]!),
    (one) => one.victims.reduce((sum, pod) => sum + priorityOf(pod) + offset, 0),
    (one) => one.victims.length,
    (one) => -youngest(one),
  ];
  let left = candidates;
  for (const loss of losses) {
    const least = Math.min(...left.map(loss));
    left = left.filter((one) => loss(one) === least);
    if (left.length === 1) break;
  }
  return left[0]!;
}
