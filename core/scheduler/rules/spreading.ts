import type { SchedulerPlugin } from '#sdk';

/** Pods of one controller go to different nodes: 100 where none of them is, 0 where most are. */
export const spreading: SchedulerPlugin = {
  name: 'SelectorSpread',
  preFilter(pod, state) {
    const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller)?.uid;
    const counts = new Map<string, number>();
    if (owner)
      for (const { node, pods } of state.nodes)
        counts.set(
          node.metadata.name!,
          pods.filter(
            ({ metadata }) => !metadata.deletionTimestamp && metadata.ownerReferences?.some(({ uid }) => uid === owner),
          ).length,
        );
    state.data.set('spread', { counts, most: Math.max(0, ...counts.values()) });
  },
  score(_pod, { node }, state) {
    const { counts, most } = state.data.get('spread') as { counts: Map<string, number>; most: number };
    return most === 0 ? 100 : (100 * (most - (counts.get(node.metadata.name!) ?? 0))) / most;
  },
  weight: 2,
};
