import type { ContainerStatus, Pod } from '#api';
import { containersOf } from './names.ts';
import { latestOf, type Observed } from './plan.ts';
import type { FoundContainer } from './server/access.ts';

/** One pod's container, from what the engine was last seen to hold. */
export function findContainer(
  pod: Readonly<Pod>,
  observed: Observed,
  statuses: (name: string) => ContainerStatus | undefined,
  name: string,
  previous = false,
): FoundContainer {
  const spec = containersOf(pod).find((each) => each.spec.name === name)?.spec;
  if (!spec) return { type: 'noContainer' };
  const runs = observed.containers.filter((each) => each.name === name && each.state !== 'created');
  const latest = latestOf(name, runs);
  const before =
    latest &&
    latestOf(
      name,
      runs.filter(({ id }) => id !== latest.id),
    );
  const chosen = previous ? before : latest;
  if (!latest) {
    const reason = statuses(name)?.state?.waiting?.reason;
    return previous ? { type: 'noPrevious' } : { type: 'waiting', reason };
  }
  if (!chosen) return { type: 'noPrevious' };
  return {
    type: 'found',
    podUid: pod.metadata.uid ?? '',
    containerId: chosen.id,
    running: chosen.state === 'running',
    tty: spec.tty ?? false,
    stdin: spec.stdin ?? false,
  };
}
