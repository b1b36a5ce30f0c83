import { isReason, type KubeObject, keyOf, nodeKind, type Pod, podKind } from '#api';
import { type ControllerSpec, isFinished } from '#sdk';

const quarantineMs = 40_000; // a node that is new or comes back is not mistaken for one that is gone

/** Removes pods that nobody else will: of nodes that are gone, ended without ever being placed, and finished ones beyond a bound. */
export function podGarbageController(finishedPodsMax: number): ControllerSpec<Pod & KubeObject> {
  const missingSince = new Map<string, number>();
  return {
    name: 'pod-garbage-collector',
    watches: podKind,
    alsoOn: [
      {
        kind: nodeKind,
        keys: (node: KubeObject, informers) =>
          informers.informer(nodeKind).cache.get(keyOf(node))
            ? []
            : informers
                .informer(podKind)
                .cache.list()
                .filter((pod) => pod.spec?.nodeName === node.metadata.name)
                .map(keyOf),
      },
    ],
    workersMax: 1,
    reconciler: {
      async reconcile(key, pod, { client, informers, clock }) {
        if (!pod) return;
        const remove = async () => {
          try {
            await client.delete(podKind, key, { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid } });
          } catch (error) {
            if (!isReason(error, 'NotFound', 'Conflict')) throw error;
          }
        };
        const node = pod.spec?.nodeName;
        if (!node) {
          if (pod.metadata.deletionTimestamp) await remove();
        } else if (informers.informer(nodeKind).cache.get({ name: node })) missingSince.delete(node);
        else {
          const sinceMs = missingSince.get(node) ?? clock.monotonicMs();
          missingSince.set(node, sinceMs);
          const leftMs = sinceMs + quarantineMs - clock.monotonicMs();
          if (leftMs > 0) return { requeueAfterMs: leftMs };
          const live = await client.get(nodeKind, { name: node }).catch((error: unknown) => error);
          if (isReason(live, 'NotFound')) return remove();
          if (live instanceof Error) throw live;
        }
        if (!isFinished(pod)) return;
        const finished = informers
          .informer(podKind)
          .cache.list()
          .filter((other) => isFinished(other) && !other.metadata.deletionTimestamp);
        if (finished.length <= finishedPodsMax) return;
        finished.sort((left, right) => (left.metadata.creationTimestamp! < right.metadata.creationTimestamp! ? -1 : 1));
        const surplus = finished.slice(0, finished.length - finishedPodsMax);
        if (surplus.some(({ metadata }) => metadata.uid === pod.metadata.uid)) await remove();
      },
    },
  };
}
