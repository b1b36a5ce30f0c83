import type { ContainerStatus, Pod, PodCondition } from '#api';

export const ownConditions = [
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
] as const;
type Draft = Pick<PodCondition, 'status' | 'reason' | 'message'>;

const listText = (names: readonly string[]): string => `[${names.join(' ')}]`;
const joined = (unknown: readonly string[], other: readonly string[], word: string): string =>
  [
    ...(unknown.length ? [`containers with unknown status: ${listText(unknown)}`] : []),
    ...(other.length ? [`containers with ${word} status: ${listText(other)}`] : []),
  ].join(', ');

/** The kubelet's conditions, with the transition times and other owners' conditions of `previous` kept. */
export function podConditions(options: {
  readonly pod: Readonly<Pod>;
  readonly previous: readonly PodCondition[];
  readonly phase: string;
  readonly statuses: readonly ContainerStatus[];
  readonly sandboxReady: boolean;
  readonly now: string;
}): PodCondition[] {
  const { pod, previous, phase, statuses, now } = options;
  const containersReady = containersReadyOf(pod, statuses, phase);
  const drafts: Record<(typeof ownConditions)[number], Draft> = {
    PodReadyToStartContainers: { status: options.sandboxReady ? 'True' : 'False' },
    Initialized: initializedOf(pod, statuses, phase),
    Ready: readyOf(pod, previous, containersReady),
    ContainersReady: containersReady,
    PodScheduled: { status: 'True' },
  };
  const own = ownConditions.map((type): PodCondition => {
    const old = previous.find((each) => each.type === type);
    const draft = drafts[type];
    return {
      type,
      status: draft.status,
      ...(draft.reason ? { reason: draft.reason } : {}),
      ...(draft.message ? { message: draft.message } : {}),
      ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
      lastProbeTime: undefined,
      lastTransitionTime: old?.status === draft.status ? (old.lastTransitionTime ?? now) : now,
    };
  });
  const others = previous.filter(({ type }) => !ownConditions.includes(type as (typeof ownConditions)[number]));
  return [...own, ...others];
}

function containersReadyOf(pod: Readonly<Pod>, statuses: readonly ContainerStatus[], phase: string): Draft {
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' };
  if (phase === 'Succeeded') return { status: 'False', reason: 'PodCompleted' };
  const unknown: string[] = [];
  const unready: string[] = [];
  const counted = [
    ...(pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always'),
    ...(pod.spec?.containers ?? []),
  ];
  for (const { name } of counted) {
    const status = statuses.find((each) => each.name === name);
    if (!status) unknown.push(name);
    else if (!status.ready) unready.push(name);
  }
  const message = joined(unknown, unready, 'unready');
  return message ? { status: 'False', reason: 'ContainersNotReady', message } : { status: 'True' };
}

function readyOf(pod: Readonly<Pod>, conditions: readonly PodCondition[], containersReady: Draft): Draft {
  if (containersReady.status !== 'True') return containersReady;
  const messages = (pod.spec?.readinessGates ?? []).flatMap(({ conditionType }) => {
    const condition = conditions.find(({ type }) => type === conditionType);
    if (!condition) return [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`];
    if (condition.status !== 'True')
      return [`the status of pod readiness gate "${conditionType}" is not "True", but ${condition.status}`];
    return [];
  });
  return messages.length
    ? { status: 'False', reason: 'ReadinessGatesNotReady', message: messages.join(', ') }
    : { status: 'True' };
}

function initializedOf(pod: Readonly<Pod>, statuses: readonly ContainerStatus[], phase: string): Draft {
  const unknown: string[] = [];
  const incomplete: string[] = [];
  for (const { name, restartPolicy } of pod.spec?.initContainers ?? []) {
    const status = statuses.find((each) => each.name === name);
    if (!status) unknown.push(name);
    else if (!(restartPolicy === 'Always' ? status.started : status.ready)) incomplete.push(name);
  }
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'True', reason: 'PodCompleted' };
  const regular = new Set(pod.spec?.containers.map(({ name }) => name));
  const begun = statuses.some(
    ({ name, state, lastState }) => regular.has(name) && (state?.running || state?.terminated || lastState?.terminated),
  );
  const message = joined(unknown, incomplete, 'incomplete');
  if (begun || !message) return { status: 'True' };
  return { status: 'False', reason: 'ContainersNotInitialized', message };
}
