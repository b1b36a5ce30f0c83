import type { ContainerState as ApiState, Container, ContainerStatus, Pod } from '#api';
import { timeText } from '#base';
import type { ContainerState } from '#sdk';
import type { PodContainer } from './names.ts';
import { latestOf } from './plan.ts';

export interface Waiting {
  readonly reason: string;
  readonly message?: string;
}
/** What the kubelet knows beside the engine, for one pod's status. */
export interface StatusFacts {
  /** `docker`: the prefix of container ids. */
  readonly runtimeName: string;
  isReady(containerId: string, container: Container): boolean;
  isStarted(containerId: string, container: Container): boolean;
  /** Why a container that should run does not. */
  waiting(container: string): Waiting | undefined;
  /** Content of the termination message file, or the end of the log. */
  terminationMessage(containerId: string): string | undefined;
}

/** The API's status of one container. `previous` is what was written before. */
export function containerStatus(
  pod: Readonly<Pod>,
  { role, spec }: PodContainer,
  containers: readonly ContainerState[],
  previous: ContainerStatus | undefined,
  facts: StatusFacts,
): ContainerStatus {
  const state = latestOf(spec.name, containers);
  const before =
    state &&
    latestOf(
      spec.name,
      containers.filter(({ id, name }) => name === spec.name && id !== state.id),
    );
  const waiting = facts.waiting(spec.name);
  const base = {
    name: spec.name,
    image: state?.image ?? spec.image ?? '',
    imageID: state ? imageIdText(state.imageId) : (previous?.imageID ?? ''),
    restartCount: state?.attempt ?? previous?.restartCount ?? 0,
    volumeMounts: mountStatuses(spec),
  };
  if (!state || state.state === 'created') return vanished(pod, base, previous, waiting, state?.attempt);
  const id = `${facts.runtimeName}://${state.id}`;
  const own = apiState(state, id, facts);
  const lastState =
    before?.state === 'exited'
      ? apiState(before, `${facts.runtimeName}://${before.id}`, facts)
      : previous?.containerID === id
        ? previous.lastState
        : previous?.state?.terminated
          ? previous.state
          : previous?.lastState;
  const running = state.state === 'running';
  const started = running && role !== 'init' ? facts.isStarted(state.id, spec) : false;
  const ready =
    role === 'ephemeral'
      ? false
      : role === 'init'
        ? state.state === 'exited' && state.exitCode === 0
        : running && started && facts.isReady(state.id, spec);
  if (waiting && !running && !(role === 'init' && ready))
    return {
      ...base,
      containerID: id,
      ready: false,
      started: false,
      state: { waiting: { ...waiting } },
      lastState: own,
    };
  return {
    ...base,
    containerID: id,
    ready,
    started: running && role === 'init' ? true : started,
    state: own,
    lastState: lastState ?? {},
  };
}

const imageIdText = (id: string): string => id;
const mountStatuses = (spec: Container) =>
  spec.volumeMounts?.map(({ name, mountPath, readOnly }) => ({
    name,
    mountPath,
    ...(readOnly ? { readOnly, recursiveReadOnly: 'Disabled' } : {}),
  }));

function apiState(state: ContainerState, containerID: string, facts: StatusFacts): ApiState {
  const startedAt = timeText(state.startedAtMs ?? state.createdAtMs);
  if (state.state === 'running') return { running: { startedAt } };
  const message = state.error || facts.terminationMessage(state.id);
  const exitCode = state.exitCode ?? 137;
  return {
    terminated: {
      exitCode,
      reason: state.oomKilled ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error',
      ...(message ? { message } : {}),
      startedAt,
      finishedAt: timeText(state.finishedAtMs ?? state.createdAtMs),
      containerID,
    },
  };
}

/** The engine knows no such container: it has not been made yet, or it went away behind our back. */
function vanished(
  pod: Readonly<Pod>,
  base: Pick<ContainerStatus, 'name' | 'image' | 'imageID' | 'restartCount'>,
  previous: ContainerStatus | undefined,
  waiting: Waiting | undefined,
  attempt: number | undefined,
): ContainerStatus {
  if (previous?.state?.terminated && !waiting) return previous;
  const creating: Waiting = { reason: pod.spec?.initContainers?.length ? 'PodInitializing' : 'ContainerCreating' };
  const lost = previous?.state?.running && {
    terminated: {
      exitCode: 137,
      reason: 'ContainerStatusUnknown',
      message: 'The container could not be located when the pod was deleted.  The container used to be Running',
    },
  };
  return {
    ...base,
    restartCount: attempt ?? (previous?.restartCount ?? 0) + (lost && !pod.metadata.deletionTimestamp ? 1 : 0),
    ready: false,
    started: false,
    state: { waiting: { ...(waiting ?? creating) } },
    lastState: lost ?? (previous?.state?.terminated ? previous.state : (previous?.lastState ?? {})),
  };
}
