import { matchesLabels, type Node, type NodeSelectorRequirement, type NodeSelectorTerm, selectorOf } from '#api';
import { accept, refuse, type SchedulerPlugin } from '#sdk';

/** An empty term matches nothing, as upstream. */
export function matchesTerm(term: NodeSelectorTerm, node: Readonly<Node>): boolean {
  const { matchExpressions = [], matchFields = [] } = term;
  if (matchExpressions.length + matchFields.length === 0) return false;
  const match = (requirements: readonly NodeSelectorRequirement[], values: Readonly<Record<string, string>>) =>
    matchesLabels(selectorOf({ matchExpressions: requirements }), values);
  return (
    match(matchExpressions, node.metadata.labels ?? {}) && match(matchFields, { 'metadata.name': node.metadata.name! })
  );
}

export const nodeAffinity: SchedulerPlugin = {
  name: 'NodeAffinity',
  retryOn: ['node'],
  filter(pod, { node }) {
    const wanted = Object.entries(pod.spec?.nodeSelector ?? {});
    const terms = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
    const isMatch =
      wanted.every(([name, value]) => node.metadata.labels?.[name] === value) &&
      (!terms || terms.some((term) => matchesTerm(term, node)));
    return isMatch ? accept : refuse("node(s) didn't match Pod's node affinity/selector");
  },
  score(pod, { node }) {
    const preferred = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    const all = preferred.reduce((sum, { weight }) => sum + weight, 0);
    const met = preferred.reduce(
      (sum, { weight, preference }) => sum + (matchesTerm(preference, node) ? weight : 0),
      0,
    );
    return all === 0 ? 0 : (100 * met) / all;
  },
  weight: 2,
};
