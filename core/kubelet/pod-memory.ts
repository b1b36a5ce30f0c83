import type { ContainerStatus, Pod, PodStatus } from '#api';
import { type Clock, timeText } from '#base';
import type { ContainerState } from '#sdk';
import type { Backoff } from './backoff.ts';
import type { Waiting } from './container-status.ts';
import { containersOf } from './names.ts';
import type { Memory, Observed } from './plan.ts';
import { crashKey } from './pod-starter.ts';
import type { Probes } from './probes/probes.ts';

/** The pod has ended for good; with the reason when it is not its containers' doing, and the grace when it is not the pod's own. */
export interface PodEnd {
  readonly phase: 'Succeeded' | 'Failed';
  readonly reason?: string;
  readonly message?: string;
  readonly graceMs?: number;
}

/** What one pod's worker remembers between rounds. The engine and the API hold all that must outlive it. */
export class PodMemory {
  /** As looked at last. */
  observed: Observed;
  readonly waiting = new Map<string, Waiting>();
  readonly retryAtMs = new Map<string, number>();
  readonly messages = new Map<string, string>();
  /** The wait that an event has been written for, by container. */
  readonly told = new Map<string, number>();
  ips: readonly string[] = [];
  sandboxAttempt = 0;
  volumePaths: ReadonlyMap<string, string> | undefined;
  /** On the monotonic clock. */
  renewAtMs = Number.POSITIVE_INFINITY;
  end: PodEnd | undefined;
  stopped: { reason: string; message: string } | undefined;
  /** The pod has ended and nothing but its containers' logs is left. */
  released = false;

  constructor(observed: Observed) {
    this.observed = observed;
  }

  /** The view that planPod decides on. */
  forPlan(
    pod: Readonly<Pod>,
    status: Readonly<PodStatus>,
    context: { clock: Clock; crashes: Backoff; probes: Probes },
  ): Memory {
    const specs = new Map(containersOf(pod).map(({ spec }) => [spec.name, spec]));
    const names = new Map<string, string>();
    return {
      nowMs: context.clock.now(),
      failedProbe: (id) => context.probes.failed(id),
      isStarted: (id) => {
        const spec = specs.get(names.get(id) ?? this.nameOf.get(id) ?? '');
        return spec ? context.probes.isStarted(id, spec) : true;
      },
      crashUntilMs: (container, finishedAtMs) => context.crashes.untilMs(crashKey(pod, container.name), finishedAtMs),
      retryAtMs: (name) => this.retryAtMs.get(name) ?? 0,
      firstAttempt: (name) => {
        const old = statusOf(status, name);
        return (old?.restartCount ?? 0) + (old?.containerID ? 1 : 0);
      },
    };
  }
  /** Names of containers by their id, as last observed. */
  readonly nameOf = new Map<string, string>();
}

export const statusOf = (status: Readonly<PodStatus>, name: string): ContainerStatus | undefined =>
  [
    ...(status.containerStatuses ?? []),
    ...(status.initContainerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ].find((each) => each.name === name);

/**
 * Containers that ran and that the engine has lost stand in as exited ones where the pod must not run twice
 * (restart policies other than Always). They have no id.
 */
export function withGhosts(pod: Readonly<Pod>, observed: Observed, status: Readonly<PodStatus>): Observed {
  if ((pod.spec?.restartPolicy ?? 'Always') === 'Always') return observed;
  const ghosts = (pod.spec?.containers ?? []).flatMap(({ name, image = '' }): ContainerState[] => {
    const old = statusOf(status, name);
    const ended = old?.state?.terminated ?? old?.lastState?.terminated;
    if (observed.containers.some((each) => each.name === name) || !(old?.containerID || ended)) return [];
    const finishedAtMs = Date.parse(ended?.finishedAt ?? timeText(0));
    const { uid = '', name: podName = '', namespace: podNamespace = '' } = pod.metadata;
    return [
      {
        id: '',
        podUid: uid,
        podName,
        podNamespace,
        name,
        attempt: old?.restartCount ?? 0,
        state: 'exited',
        image,
        imageId: '',
        specHash: '',
        annotations: {},
        createdAtMs: 0,
        finishedAtMs,
        exitCode: ended?.exitCode ?? 137,
      },
    ];
  });
  return ghosts.length ? { ...observed, containers: [...observed.containers, ...ghosts] } : observed;
}
