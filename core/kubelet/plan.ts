import type { Container, Pod } from '#api';
import type { ContainerState, SandboxState } from '#sdk';
import { containersOf, type PodContainer, type Role } from './names.ts';

/** One step towards what the pod's spec says. Steps of one plan are executed in order. */
export type Action =
  | { readonly type: 'createSandbox'; readonly attempt: number }
  /** The old one has died: stop what runs in it, remove it; the next plan makes a new one. */
  | { readonly type: 'replaceSandbox' }
  | {
      readonly type: 'start';
      readonly container: PodContainer;
      readonly attempt: number;
      /** The exited container that this one replaces. */
      readonly after?: ContainerState;
    }
  | {
      readonly type: 'stop';
      readonly container: PodContainer;
      readonly id: string;
      readonly message: string;
      readonly graceSeconds?: number;
    }
  | { readonly type: 'remove'; readonly id: string }
  /** Not before `untilMs`. */
  | { readonly type: 'wait'; readonly container: string; readonly untilMs: number; readonly crashed: boolean }
  | { readonly type: 'finish'; readonly phase: 'Succeeded' | 'Failed' };

export interface Observed {
  readonly sandbox?: SandboxState;
  readonly containers: readonly ContainerState[];
}
/** What the kubelet knows beside the engine: probe results and back-offs. */
export interface Memory {
  readonly nowMs: number;
  /** The probe that failed for good, so that the container must be stopped. */
  failedProbe(containerId: string): 'liveness' | 'startup' | undefined;
  /** Its startup probe has passed, or it has none. */
  isStarted(containerId: string): boolean;
  /** When a container that ended at `finishedAtMs` may start again. */
  crashUntilMs(container: Container, finishedAtMs: number): number;
  /** When a start that failed (image, configuration, engine) may be tried again; 0: now. */
  retryAtMs(container: string): number;
  /** The number of the first attempt of a container that the engine does not know: above 0 when it ran in a sandbox that is gone. */
  firstAttempt(container: string): number;
}

export const specHashOf = (container: Container): string =>
  Bun.hash(`${container.name}\n${container.image}`).toString(36);

export function latestOf(name: string, containers: readonly ContainerState[]): ContainerState | undefined {
  let latest: ContainerState | undefined;
  for (const each of containers) {
    if (each.name !== name) continue;
    if (
      !latest ||
      each.attempt > latest.attempt ||
      (each.attempt === latest.attempt && each.createdAtMs > latest.createdAtMs)
    )
      latest = each;
  }
  return latest;
}

export function shouldRestart(role: Role, restartPolicy: string | undefined, exitCode: number): boolean {
  if (role === 'sidecar') return true;
  if (role === 'ephemeral') return false;
  if (role === 'init') return exitCode !== 0 && restartPolicy !== 'Never';
  return restartPolicy === 'OnFailure' ? exitCode !== 0 : restartPolicy !== 'Never';
}

/** Every init container has done its work. It stays so once a regular container has been created. */
export function isInitialized(pod: Readonly<Pod>, observed: Observed, memory: Pick<Memory, 'isStarted'>): boolean {
  if (pod.spec?.containers.some(({ name }) => latestOf(name, observed.containers)?.id)) return true; // a ghost has no id
  return containersOf(pod).every(({ role, spec }) => {
    const state = latestOf(spec.name, observed.containers);
    if (role === 'init') return state?.state === 'exited' && state.exitCode === 0;
    if (role === 'sidecar') return state?.state === 'running' && memory.isStarted(state.id);
    return true;
  });
}

/** The phase that the pod has reached for good, or undefined while something runs or will be started. */
export function finalPhase(pod: Readonly<Pod>, observed: Observed): 'Succeeded' | 'Failed' | undefined {
  const policy = pod.spec?.restartPolicy;
  const all = containersOf(pod);
  for (const { role, spec } of all) {
    const state = latestOf(spec.name, observed.containers);
    if (role === 'init' && state?.state === 'exited' && state.exitCode !== 0 && !shouldRestart(role, policy, 1))
      return 'Failed';
  }
  let phase: 'Succeeded' | 'Failed' = 'Succeeded';
  for (const { role, spec } of all) {
    if (role !== 'container') continue;
    const state = latestOf(spec.name, observed.containers);
    if (state?.state !== 'exited' || shouldRestart(role, policy, state.exitCode ?? 0)) return undefined;
    if (state.exitCode !== 0) phase = 'Failed';
  }
  return phase;
}

/** Pure: what to do next. An empty plan means that all is as it should be. */
export function planPod(pod: Readonly<Pod>, observed: Observed, memory: Memory): Action[] {
  const phase = finalPhase(pod, observed);
  if (phase) {
    const rest = stopRunning(pod, observed);
    return rest.length ? rest : [{ type: 'finish', phase }];
  }
  if (!observed.sandbox) return [{ type: 'createSandbox', attempt: 0 }];
  if (!observed.sandbox.ready) return [{ type: 'replaceSandbox' }];
  const actions = isInitialized(pod, observed, memory)
    ? containersOf(pod)
        .filter(({ role }) => role !== 'init')
        .flatMap((container) => planContainer(pod, container, observed, memory))
    : planInit(pod, observed, memory);
  return [...actions, ...planGarbage(pod, observed)];
}

function planInit(pod: Readonly<Pod>, observed: Observed, memory: Memory): Action[] {
  const actions: Action[] = [];
  for (const container of containersOf(pod)) {
    if (container.role !== 'init' && container.role !== 'sidecar') break;
    const state = latestOf(container.spec.name, observed.containers);
    if (container.role === 'init' && state?.state === 'exited' && state.exitCode === 0) continue;
    actions.push(...planContainer(pod, container, observed, memory));
    if (container.role === 'sidecar' && state?.state === 'running' && memory.isStarted(state.id)) continue;
    break;
  }
  return actions;
}

function planContainer(pod: Readonly<Pod>, container: PodContainer, observed: Observed, memory: Memory): Action[] {
  const { role, spec } = container;
  const state = latestOf(spec.name, observed.containers);
  if (state?.state === 'running') return planRunning(pod, container, state, memory);
  const retryAtMs = memory.retryAtMs(spec.name);
  if (retryAtMs > memory.nowMs) return [{ type: 'wait', container: spec.name, untilMs: retryAtMs, crashed: false }];
  // Created and never started: the kubelet died in between, or the start failed. Made anew under the same number.
  if (state?.state === 'created')
    return [
      { type: 'remove', id: state.id },
      { type: 'start', container, attempt: state.attempt },
    ];
  if (!state) return [{ type: 'start', container, attempt: memory.firstAttempt(spec.name) }];
  if (!shouldRestart(role, pod.spec?.restartPolicy, state.exitCode ?? 0)) return [];
  const untilMs = memory.crashUntilMs(spec, state.finishedAtMs ?? memory.nowMs);
  if (untilMs > memory.nowMs) return [{ type: 'wait', container: spec.name, untilMs, crashed: true }];
  return [{ type: 'start', container, attempt: state.attempt + 1, after: state }];
}

function planRunning(pod: Readonly<Pod>, container: PodContainer, state: ContainerState, memory: Memory): Action[] {
  const { role, spec } = container;
  const noun = role === 'init' || role === 'sidecar' ? 'Init container' : 'Container';
  const suffix = shouldRestart(role, pod.spec?.restartPolicy, 1) ? ', will be restarted' : '';
  const stop = (why: string, graceSeconds?: number): Action[] => [
    { type: 'stop', container, id: state.id, message: `${noun} ${spec.name} ${why}${suffix}`, graceSeconds },
  ];
  if (role !== 'ephemeral' && state.specHash !== '' && state.specHash !== specHashOf(spec))
    return stop('definition changed');
  const failed = memory.failedProbe(state.id);
  if (failed === 'liveness') return stop('failed liveness probe', spec.livenessProbe?.terminationGracePeriodSeconds);
  if (failed === 'startup') return stop('failed startup probe', spec.startupProbe?.terminationGracePeriodSeconds);
  return [];
}

/** When the pod is done its sidecars (last first) and ephemeral containers end too. */
function stopRunning(pod: Readonly<Pod>, observed: Observed): Action[] {
  return containersOf(pod)
    .reverse()
    .flatMap((container) => {
      const state = latestOf(container.spec.name, observed.containers);
      return state?.state === 'running'
        ? [{ type: 'stop' as const, container, id: state.id, message: `Stopping container ${container.spec.name}` }]
        : [];
    });
}

/** The latest attempt and the one before (for lastState and `logs --previous`) stay. */
function planGarbage(pod: Readonly<Pod>, observed: Observed): Action[] {
  return containersOf(pod).flatMap(({ spec }) =>
    observed.containers
      .filter(({ name, state }) => name === spec.name && state === 'exited')
      .sort((a, b) => b.attempt - a.attempt || b.createdAtMs - a.createdAtMs)
      .slice(latestOf(spec.name, observed.containers)?.state === 'exited' ? 2 : 1)
      .map(({ id }) => ({ type: 'remove' as const, id })),
  );
}
