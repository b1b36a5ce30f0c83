import type { Observation } from '#sdk';
import type { Observed } from './plan.ts';

/** What the engine held of a pod when it was looked at last; another mark: something has changed. */
export interface SeenPod {
  readonly observed: Observed;
  readonly mark: string;
}

/** What the engine holds, by the uid of its pod. Pure. */
export function groupByPod(observation: Observation): Map<string, SeenPod> {
  const pods = new Map<string, { sandbox?: Observed['sandbox']; containers: Observed['containers'][number][] }>();
  const of = (uid: string) => {
    const pod = pods.get(uid) ?? { containers: [] };
    pods.set(uid, pod);
    return pod;
  };
  for (const sandbox of observation.sandboxes) {
    const pod = of(sandbox.podUid);
    if (!pod.sandbox || sandbox.attempt > pod.sandbox.attempt) pod.sandbox = sandbox;
  }
  for (const container of observation.containers) of(container.podUid).containers.push(container);
  return new Map(
    [...pods].map(([uid, observed]) => {
      const parts = observed.containers.map(({ id, state }) => `${id}:${state}`).sort();
      return [uid, { observed, mark: `${observed.sandbox?.id}:${observed.sandbox?.ready} ${parts.join(' ')}` }];
    }),
  );
}
