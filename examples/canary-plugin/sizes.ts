/** A replication controller as the decision sees it. */
export interface Side {
  /** spec.replicas. */
  readonly size: number;
  /** status.readyReplicas. */
  readonly ready: number;
}
export interface Wanted {
  /** Of both together, once the shift is over. */
  readonly pods: number;
  /** Of the pods, to be the canary's. */
  readonly percent: number;
  /** Pods that may move in one step. */
  readonly stepPods: number;
}
export interface Move {
  readonly stable: number;
  readonly canary: number;
  readonly phase: "Shifting" | "Waiting" | "Done";
}

/** How many of the pods are the canary's: some as soon as any are wanted, all only when all are wanted. */
export const canaryPods = ({ pods, percent }: Wanted): number =>
  percent === 0 ? 0 : percent === 100 ? pods : Math.min(pods - 1, Math.max(1, Math.round((pods * percent) / 100)));

/**
 * The next sizes of both. One side grows by a step; when all its pods are ready, the other gives up as many: together
 * they never have fewer ready pods than wanted, and a canary that does not become ready goes no further. Pure.
 */
export function nextMove(wanted: Wanted, stable: Side, canary: Side): Move {
  const target = canaryPods(wanted);
  const isForward = canary.size < target || (canary.size === target && stable.size >= wanted.pods - target);
  const [grows, gives] = isForward ? [canary, stable] : [stable, canary];
  const end = isForward ? target : wanted.pods - target;
  const move = (grown: number, given: number, phase: Move["phase"]): Move =>
    isForward ? { canary: grown, stable: given, phase } : { canary: given, stable: grown, phase };
  if (grows.ready < grows.size) return move(grows.size, gives.size, "Waiting");
  const left = Math.max(0, wanted.pods - grows.size);
  if (gives.size > left) return move(grows.size, left, "Shifting");
  if (grows.size >= end) return move(grows.size, gives.size, "Done");
  return move(Math.min(end, grows.size + wanted.stepPods), gives.size, "Shifting");
}
