import type { Container, ContainerStatus, KubeObject, Pod } from '#api';
import type { Column } from '#sdk';
import { since } from '../rules/age.ts';
import { ageColumn, column, nameColumn, wide } from '../rules/columns.ts';

interface Summary {
  readonly ready: number;
  readonly total: number;
  readonly reason: string;
  readonly restarts: number;
  /** RFC 3339; empty when nothing restarted. */
  readonly lastRestart: string;
}
type PodObject = Pod & KubeObject;

const isSidecar = (container: Readonly<Container> | undefined): boolean => container?.restartPolicy === 'Always';
const later = (left: string, right: string | undefined): string => (right && right > left ? right : left);
const lastEnd = (status: Readonly<ContainerStatus>): string | undefined => status.lastState?.terminated?.finishedAt;
const hasCondition = (pod: Readonly<Pod>, type: string): boolean =>
  pod.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;

function endedReason(state: { reason?: string; signal?: number; exitCode?: number }): string {
  if (state.reason) return state.reason;
  return state.signal ? `Signal:${state.signal}` : `ExitCode:${state.exitCode ?? 0}`;
}

interface Initialisation {
  readonly ready: number;
  readonly reason: string | undefined;
  readonly restarts: number;
  readonly lastRestart: string;
  readonly sidecarRestarts: number;
  readonly sidecarLastRestart: string;
}
function initialisation(pod: Readonly<Pod>): Initialisation {
  const containers = new Map((pod.spec?.initContainers ?? []).map((container) => [container.name, container]));
  let [ready, restarts, sidecarRestarts] = [0, 0, 0];
  let [lastRestart, sidecarLastRestart] = ['', ''];
  let reason: string | undefined;
  for (const [index, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const sidecar = isSidecar(containers.get(status.name));
    restarts += status.restartCount ?? 0;
    lastRestart = later(lastRestart, lastEnd(status));
    if (sidecar) {
      sidecarRestarts += status.restartCount ?? 0;
      sidecarLastRestart = later(sidecarLastRestart, lastEnd(status));
    }
    const { terminated, waiting } = status.state ?? {};
    if (terminated && (terminated.exitCode ?? 0) === 0) continue;
    if (sidecar && status.started) {
      if (status.ready) ready++;
      continue;
    }
    if (terminated) reason = `Init:${endedReason(terminated)}`;
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') reason = `Init:${waiting.reason}`;
    else reason = `Init:${index}/${containers.size}`;
    break;
  }
  return { ready, reason, restarts, lastRestart, sidecarRestarts, sidecarLastRestart };
}

/** The one place that condenses a pod's state into the words of `kubectl get`. */
export function summarise(pod: Readonly<PodObject>): Summary {
  const phase = pod.status?.phase ?? '';
  let reason = pod.status?.reason || phase;
  if (pod.status?.conditions?.some((c) => c.type === 'PodScheduled' && c.reason === 'SchedulingGated'))
    reason = 'SchedulingGated';
  const total = (pod.spec?.containers?.length ?? 0) + (pod.spec?.initContainers ?? []).filter(isSidecar).length;
  const init = initialisation(pod);
  reason = init.reason ?? reason;
  let { ready, restarts, lastRestart } = init;
  if (init.reason === undefined || hasCondition(pod, 'Initialized')) {
    restarts = init.sidecarRestarts;
    lastRestart = init.sidecarLastRestart;
    let [running, failedReason] = [false, ''];
    for (const status of (pod.status?.containerStatuses ?? []).toReversed()) {
      restarts += status.restartCount ?? 0;
      lastRestart = later(lastRestart, lastEnd(status));
      const { terminated, waiting } = status.state ?? {};
      if (waiting?.reason) reason = waiting.reason;
      else if (terminated) {
        reason = endedReason(terminated);
        if (terminated.exitCode) failedReason = reason;
      } else if (status.ready && status.state?.running) {
        running = true;
        ready++;
      }
    }
    if (reason === 'Completed') {
      if (running && hasCondition(pod, 'Ready')) reason = 'Running';
      else if (failedReason) reason = failedReason;
      else if (running) reason = 'NotReady';
    }
  }
  if (pod.metadata.deletionTimestamp) {
    if (pod.status?.reason === 'NodeLost') reason = 'Unknown';
    else if (phase !== 'Succeeded' && phase !== 'Failed') reason = 'Terminating';
  }
  return { ready, total, reason, restarts, lastRestart };
}

function gatesText(pod: Readonly<Pod>): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  return `${gates.filter((gate) => hasCondition(pod, gate.conditionType)).length}/${gates.length}`;
}

export const podColumns: readonly Column<PodObject>[] = [
  nameColumn,
  column('Ready', 'Containers that are ready, of all that should run.', (pod) => {
    const { ready, total } = summarise(pod);
    return `${ready}/${total}`;
  }),
  column('Status', 'What the pod does, condensed from its containers.', (pod) => summarise(pod).reason),
  column('Restarts', 'How often containers were started again, and when last.', (pod, nowMs) => {
    const { restarts, lastRestart } = summarise(pod);
    return restarts && lastRestart ? `${restarts} (${since(lastRestart, nowMs)} ago)` : `${restarts}`;
  }),
  ageColumn,
  wide('IP', 'Address of the pod.', (pod) => pod.status?.podIPs?.[0]?.ip || '<none>'),
  wide('Node', 'The node it runs on.', (pod) => pod.spec?.nodeName || '<none>'),
  wide('Nominated Node', 'The node that room is being made on.', (pod) => pod.status?.nominatedNodeName || '<none>'),
  wide('Readiness Gates', 'Extra conditions that are met, of all.', gatesText),
];
