import type { Pod } from '#api';
import type { SchedulerPlugin } from '#sdk';

const ownerOf = (pod: Readonly<Pod>): string | undefined =>
  pod.metadata.ownerReferences?.find((owner) => owner.controller)?.uid;

/** Pods of one controller prefer nodes that have few of them. */
export const selectorSpread: SchedulerPlugin = {
  name: 'SelectorSpread',
  weight: 2,
  preFilter(pod, state) {
    const owner = ownerOf(pod);
    if (!owner) return;
    const counts = new Map(
      state.nodes.map(({ node, pods }) => [
        node.metadata.name!,
        pods.filter((other) => ownerOf(other) === owner && !other.metadata.deletionTimestamp).length,
      ]),
    );
    state.data.set('SelectorSpread', { counts, most: Math.max(...counts.values()) });
  },
  score(_pod, { node }, state) {
    const spread = state.data.get('SelectorSpread') as { counts: Map<string, number>; most: number } | undefined;
    if (!spread || spread.most === 0) return 0;
    return (100 * (spread.most - (spread.counts.get(node.metadata.name!) ?? 0))) / spread.most;
  },
};
