import type { Node, Pod } from '#api';
import { type Log, messageOf } from '#base';
import { type Advice, accept, type NodeInfo, refuse, type SchedulerPlugin, type SchedulingAdviser } from '#sdk';

/** What all advisers said of one pod. */
export interface Advised {
  /** Rules that stand for them in the decision. */
  readonly rules: readonly SchedulerPlugin[];
  readonly permits: readonly SchedulingAdviser[];
}
const weightMax = 100;
const scoreMax = 100;
const systemNamespaces = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'pintle-plugins']);
/** Pods of the platform itself are placed without asking anybody. */
export const asksFor = (pod: Readonly<Pod>): boolean => !systemNamespaces.has(pod.metadata.namespace ?? '');

/** Asks every adviser about all nodes that are left, at the same time. */
export async function adviceFor(
  pod: Readonly<Pod>,
  nodes: readonly Readonly<Node>[],
  advisers: readonly SchedulingAdviser[],
  log: Log,
): Promise<Advised> {
  const answers = await Promise.all(
    advisers.map(async (adviser): Promise<Advice | undefined> => {
      try {
        return checked(await adviser.advise(pod, nodes), nodes.length);
      } catch (error) {
        log.warn('scheduling rule of a plugin skipped', { rule: adviser.name, error: messageOf(error) });
        return undefined;
      }
    }),
  );
  return {
    rules: advisers.map((adviser, index) => ruleOf(adviser, nodes, answers[index])),
    permits: advisers.filter((_, index) => answers[index]?.permits),
  };
}

/** Throws on what is no answer about these nodes. Pure. */
function checked(advice: Advice, count: number): Advice {
  const { filter, scores } = advice ?? {};
  if (filter !== undefined && (!Array.isArray(filter) || filter.length !== count))
    throw new Error(`its filter answered about ${filter.length} of ${count} nodes`);
  if (scores !== undefined && (!Array.isArray(scores) || scores.length !== count || !scores.every(Number.isFinite)))
    throw new Error('its scores are not one number for each node');
  return advice;
}

/** The answer as a rule of this decision. Without one the filter is skipped, or refuses every node when it is required. Pure. */
export function ruleOf(
  { name, required }: Pick<SchedulingAdviser, 'name' | 'required'>,
  nodes: readonly Readonly<Node>[],
  advice: Advice | undefined,
): SchedulerPlugin {
  const indexOf = new Map(nodes.map(({ metadata }, index) => [metadata.name, index]));
  const at = ({ node }: NodeInfo): number | undefined => indexOf.get(node.metadata.name);
  const weight = Math.min(weightMax, Math.max(0, Number(advice?.weight ?? 1) || 0));
  return {
    name,
    weight,
    retryOn: ['pod', 'pod-deleted'],
    filter(_pod, info) {
      const index = at(info);
      if (!advice || index === undefined) return required ? refuse(`plugin ${name} gave no answer`) : accept;
      const verdict = advice.filter?.[index] ?? true;
      return verdict === true ? accept : refuse(`node(s) refused by plugin ${name}: ${String(verdict).slice(0, 256)}`);
    },
    score(_pod, info) {
      const index = at(info);
      const score = index === undefined ? 0 : (advice?.scores?.[index] ?? 0);
      return Math.min(scoreMax, Math.max(0, score));
    },
  };
}
