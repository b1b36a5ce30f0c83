import { matchesLabels, type Node, type NodeSelectorTerm, type Requirement, selectorOf } from '#api';
import { accept, refuse, type SchedulerPlugin } from '#sdk';

const fieldLabels = (node: Readonly<Node>): Record<string, string> => ({ 'metadata.name': node.metadata.name ?? '' });

/** An empty term matches nothing; expressions and fields of one term must all hold. */
export function termMatches(term: Readonly<NodeSelectorTerm>, node: Readonly<Node>): boolean {
  const expressions: readonly Requirement[] = selectorOf({ matchExpressions: term.matchExpressions });
  const fields: readonly Requirement[] = selectorOf({ matchExpressions: term.matchFields });
  if (expressions.length + fields.length === 0) return false;
  return matchesLabels(expressions, node.metadata.labels) && matchesLabels(fields, fieldLabels(node));
}

/** spec.nodeSelector and required node affinity; preferred terms score by their weight. */
export const nodeAffinity: SchedulerPlugin = {
  name: 'NodeAffinity',
  retryOn: ['node'],
  weight: 2,
  filter(pod, { node }) {
    const labels = node.metadata.labels ?? {};
    const selected = Object.entries(pod.spec?.nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
    const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
    const matched = !required || required.nodeSelectorTerms.some((term) => termMatches(term, node));
    return selected && matched ? accept : refuse("node(s) didn't match Pod's node affinity/selector");
  },
  score(pod, { node }) {
    const preferred = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    const total = preferred.reduce((sum, term) => sum + term.weight, 0);
    const won = preferred.reduce((sum, term) => sum + (termMatches(term.preference, node) ? term.weight : 0), 0);
    return total === 0 ? 0 : (100 * won) / total;
  },
};
