import type { Pod } from '#api';

/** Facts about pods that several decisions share. */
export const isReady = (pod: Readonly<Pod>): boolean => readyCondition(pod)?.status === 'True';
const readyCondition = (pod: Readonly<Pod>) => pod.status?.conditions?.find((condition) => condition.type === 'Ready');
/** Milliseconds since the epoch; undefined when the pod is not ready. */
export function readySinceMs(pod: Readonly<Pod>): number | undefined {
  const condition = readyCondition(pod);
  return condition?.status === 'True' ? Date.parse(condition.lastTransitionTime ?? '') || 0 : undefined;
}
export const isFinished = (pod: Readonly<Pod>): boolean =>
  pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
export const isActive = (pod: Readonly<Pod>): boolean => !isFinished(pod) && !pod.metadata.deletionTimestamp;
