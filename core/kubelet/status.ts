import type { ContainerStatus, Pod, PodStatus } from '#api';
import { timeText } from '#base';
import { podConditions } from './conditions.ts';
import { containerStatus, type StatusFacts } from './container-status.ts';
import { containersOf } from './names.ts';
import { isInitialized, type Observed, shouldRestart } from './plan.ts';
import { qosClassOf } from './resources.ts';

export interface PodFactsForStatus extends StatusFacts {
  readonly nowMs: number;
  readonly hostIps: readonly string[];
  readonly podIps: readonly string[];
  /** Set once the pod has ended for good, with the reason when it is not its containers' doing. */
  readonly end?: { readonly phase: 'Succeeded' | 'Failed'; readonly reason?: string; readonly message?: string };
  /** Why the pod cannot run at all, such as a field that is not supported. */
  readonly stopped?: { readonly reason: string; readonly message: string };
  /** The pod is being ended: containers that stopped will not start again. */
  readonly ending: boolean;
}

/** Pure: the whole status that the kubelet writes for a pod. `previous` is the status written last, or the API's. */
export function podStatus(
  pod: Readonly<Pod>,
  observed: Observed,
  previous: Readonly<PodStatus>,
  facts: PodFactsForStatus,
): PodStatus {
  const now = timeText(facts.nowMs);
  const old = [
    ...(previous.initContainerStatuses ?? []),
    ...(previous.containerStatuses ?? []),
    ...(previous.ephemeralContainerStatuses ?? []),
  ];
  const all = containersOf(pod).map((container) => ({
    role: container.role,
    status: containerStatus(
      pod,
      container,
      observed.containers,
      old.find(({ name }) => name === container.spec.name),
      facts,
    ),
  }));
  const statuses = all.map(({ status }) => status);
  const terminal = previous.phase === 'Succeeded' || previous.phase === 'Failed' ? previous.phase : undefined;
  const phase = terminal ?? facts.end?.phase ?? phaseOf(pod, statuses, observed, facts);
  const pick = (roles: readonly string[]) => {
    const chosen = all.filter(({ role }) => roles.includes(role)).map(({ status }) => status);
    return chosen.length ? chosen : undefined;
  };
  const known = pod.spec?.hostNetwork ? facts.hostIps : facts.podIps;
  const podIps = known.length || !terminal ? known : (previous.podIPs ?? []).map(({ ip }) => ip); // what it had stays to be read
  const why = facts.end?.reason ? facts.end : (facts.stopped ?? (terminal ? previous : undefined));
  return {
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    phase,
    conditions: podConditions({
      pod,
      previous: previous.conditions ?? [],
      phase,
      statuses,
      sandboxReady: observed.sandbox?.ready ?? false,
      now,
    }),
    reason: why?.reason,
    message: why?.message,
    hostIP: facts.hostIps[0],
    hostIPs: facts.hostIps.map((ip) => ({ ip })),
    podIP: podIps[0],
    podIPs: podIps.length ? podIps.map((ip) => ({ ip })) : undefined,
    startTime: previous.startTime ?? now,
    qosClass: previous.qosClass ?? qosClassOf(pod),
    initContainerStatuses: pick(['init', 'sidecar']),
    containerStatuses: pick(['container']),
    ephemeralContainerStatuses: pick(['ephemeral']),
  };
}

/** The phase by what the containers do. */
function phaseOf(
  pod: Readonly<Pod>,
  statuses: readonly ContainerStatus[],
  observed: Observed,
  facts: PodFactsForStatus,
): string {
  const of = (name: string) => statuses.find((status) => status.name === name);
  const policy = pod.spec?.restartPolicy;
  let initPending = false;
  let running = 0;
  let waiting = 0;
  let succeeded = 0;
  let failed = 0;
  let restarting = 0;
  for (const { role, spec } of containersOf(pod)) {
    const { state, lastState, started } = of(spec.name) ?? {};
    const ended = state?.terminated ?? (state?.waiting ? lastState?.terminated : undefined);
    if (role === 'init') {
      if (!ended) initPending = true;
      else if (ended.exitCode !== 0 && !shouldRestart(role, policy, ended.exitCode)) return 'Failed';
    } else if (role === 'sidecar') {
      if (state?.running) running++;
      if (!ended && !started) initPending = true;
    } else if (role === 'container') {
      if (state?.running) running++;
      else if (!ended) waiting++;
      else if (!facts.ending && shouldRestart(role, policy, ended.exitCode)) restarting++;
      else if (ended.exitCode === 0) succeeded++;
      else failed++;
    }
  }
  if (initPending && !isInitialized(pod, observed, { isStarted: () => true })) return 'Pending';
  if (waiting > 0) return 'Pending';
  if (running > 0 || restarting > 0) return 'Running';
  return failed > 0 ? 'Failed' : succeeded > 0 ? 'Succeeded' : 'Pending';
}
