import { matchesLabels, type Node, type NodeSelectorTerm, type Pod, type Requirement, selectorOf } from '#api';
import { accept, refuse, type SchedulerPlugin } from '#sdk';
import { byLargest } from './normalize.ts';

const fieldLabels = (node: Readonly<Node>): Record<string, string> => ({ 'metadata.name': node.metadata.name ?? '' });
interface Parsed {
  readonly expressions: readonly Requirement[];
  readonly fields: readonly Requirement[];
}
const parsed = new WeakMap<NodeSelectorTerm, Parsed>();

/** An empty term matches nothing; expressions and fields of one term must all hold. */
export function termMatches(term: Readonly<NodeSelectorTerm>, node: Readonly<Node>): boolean {
  let known = parsed.get(term);
  if (!known) {
    const expressions = selectorOf({ matchExpressions: term.matchExpressions });
    parsed.set(term, (known = { expressions, fields: selectorOf({ matchExpressions: term.matchFields }) }));
  }
  if (known.expressions.length + known.fields.length === 0) return false;
  return matchesLabels(known.expressions, node.metadata.labels) && matchesLabels(known.fields, fieldLabels(node));
}

/** spec.nodeSelector and required node affinity allow this node. */
export function nodeSelected(pod: Readonly<Pod>, node: Readonly<Node>): boolean {
  const labels = node.metadata.labels ?? {};
  const selected = Object.entries(pod.spec?.nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return selected && (!required || required.nodeSelectorTerms.some((term) => termMatches(term, node)));
}

/** The nodes that every alternative names by `metadata.name`, as DaemonSets do; undefined when one of them names none. */
function namedNodes(pod: Readonly<Pod>): ReadonlySet<string> | undefined {
  const terms =
    pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  if (terms.length === 0) return undefined;
  const names = new Set<string>();
  for (const term of terms) {
    const lists = (term.matchFields ?? [])
      .filter((one) => one.key === 'metadata.name' && one.operator === 'In')
      .map((one) => new Set(one.values ?? []));
    const [first, ...others] = lists;
    if (!first) return undefined;
    for (const name of first) if (others.every((list) => list.has(name))) names.add(name);
  }
  return names;
}

/** spec.nodeSelector and required node affinity; preferred terms score by their weight. */
export const nodeAffinity: SchedulerPlugin = {
  name: 'NodeAffinity',
  retryOn: ['node'],
  weight: 2,
  preFilter(pod) {
    const nodes = namedNodes(pod);
    return nodes && { ok: true, nodes };
  },
  filter: (pod, { node }) =>
    nodeSelected(pod, node) ? accept : refuse("node(s) didn't match Pod's node affinity/selector"),
  score(pod, { node }) {
    const preferred = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    return preferred.reduce((sum, term) => sum + (termMatches(term.preference, node) ? term.weight : 0), 0);
  },
  normalize: (scores) => byLargest(scores),
};
