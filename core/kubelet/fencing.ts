import type { Pod } from '#api';
import type { Clock, Log } from '#base';

const unreachableKey = 'node.kubernetes.io/unreachable';
const lookEveryMs = 1_000;
const leadMsMax = 8_000; // for the stop itself, and for looking once a second
const stopMsMax = 5_000;

export interface Fence {
  /** After so long a silence the pod is stopped. */
  readonly afterMs: number;
  /** So long its processes have to end by themselves. */
  readonly stopMs: number;
}

/**
 * When a pod of a node that is cut off must end: before the cluster takes the node for lost and starts another in its place.
 * Undefined: it tolerates that for ever, so that there will be no other. Pure. `graceMs`: after which a silent node is NotReady.
 */
export function fenceOf(pod: Readonly<Pod>, graceMs: number): Fence | undefined {
  const matching = (pod.spec?.tolerations ?? []).filter(
    ({ effect, key, operator, value }) =>
      (!effect || effect === 'NoExecute') &&
      (!key ? operator === 'Exists' : key === unreachableKey) &&
      (operator === 'Exists' || !value),
  );
  const seconds = matching.flatMap(({ tolerationSeconds }) => tolerationSeconds ?? []);
  if (matching.length > 0 && seconds.length === 0) return undefined;
  const replacedMs = graceMs + (matching.length === 0 ? 0 : Math.max(0, Math.min(...seconds)) * 1000);
  const leadMs = Math.min(leadMsMax, replacedMs / 3);
  return { afterMs: replacedMs - leadMs, stopMs: Math.min(stopMsMax, leadMs / 2) };
}

export interface FencedPod {
  readonly pod: Readonly<Pod> | undefined;
  readonly hasEnded: boolean;
  /** Stops what runs and starts nothing; undefined: it is brought to what its spec says again. */
  fence(stopMs: number | undefined): void;
}

/** Ends when the signal aborts. `silentMs`: how long nobody has been heard of who could decide over this node. */
export async function keepFenced(options: {
  readonly pods: () => Iterable<FencedPod>;
  readonly silentMs: () => number;
  readonly graceMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { pods, silentMs, graceMs, clock, log, signal } = options;
  let fenced = 0;
  while (!signal.aborted) {
    await clock.sleep(lookEveryMs, signal);
    const forMs = silentMs();
    let now = 0;
    for (const one of pods()) {
      const fence = one.pod && !one.hasEnded ? fenceOf(one.pod, graceMs) : undefined;
      const isLost = fence !== undefined && forMs >= fence.afterMs;
      one.fence(isLost ? fence.stopMs : undefined);
      if (isLost) now++;
    }
    if (now > fenced)
      log.warn('cut off from the cluster: pods that it replaces elsewhere are stopped', { pods: now, forMs });
    if (now === 0 && fenced > 0) log.info('heard of the cluster again: stopped pods go on', { pods: fenced });
    fenced = now;
  }
}
