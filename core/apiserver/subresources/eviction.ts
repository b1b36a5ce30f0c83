import {
  errors,
  type KubeObject,
  matchesLabels,
  type Pod,
  type PodDisruptionBudget,
  podDisruptionBudgetKind,
  type Status,
  StatusError,
  selectorOf,
} from '#api';
import { timeText } from '#base';
import { success } from '../answer.ts';
import { readObject } from '../body.ts';
import type { AnyKind, AnyObject, JsonObject } from '../contract.ts';
import { type Call, mustGet } from '../core.ts';
import { type DeleteOptions, deleteObject, deleteOptionsOf } from '../delete-object.ts';
import { systemCall } from '../system-call.ts';
import { updateObject } from '../update-object.ts';
import { valueAnswer } from '../write-answer.ts';

type Budget = PodDisruptionBudget & KubeObject;
type PodObject = Pod & KubeObject;
const pendingEvictionsMax = 2000;
const retryAfterSeconds = 10;
const violates = "Cannot evict pod as it would violate the pod's disruption budget.";

/** POST pods/NAME/eviction: a deletion that the pod's disruption budget must allow, and pays for. Throws 429 when it does not. */
export async function evict(call: Call): Promise<Response> {
  const { value } = await readObject(call.request);
  const named = (value['metadata'] as { name?: string } | undefined)?.name;
  if (named !== undefined && named !== call.info.name)
    throw errors.badRequest('name in URL does not match name in Eviction object');
  const options = deleteOptionsOf(value['deleteOptions'] as JsonObject | undefined, call.info.query);
  const pod = mustGet(call).object as unknown as Readonly<PodObject>;
  let preconditions = options.preconditions;
  if (!isFree(pod)) {
    const budgets = budgetsOf(call, pod);
    if (budgets.length > 1) return valueAnswer(call, severalBudgets, 500);
    const budget = budgets[0];
    if (budget && !isReady(pod) && mayGoUnhealthy(budget))
      preconditions = { ...preconditions, resourceVersion: pod.metadata.resourceVersion };
    else if (budget) await take(call, budget, pod.metadata.name!);
  }
  await remove(call, pod, { ...options, preconditions });
  return valueAnswer(call, { ...success(), code: 201 }, 201);
}

const severalBudgets: Status = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
  code: 500,
};
/** Pods that serve nobody may always go. */
const isFree = ({ status, metadata }: Readonly<PodObject>): boolean =>
  ['Succeeded', 'Failed', 'Pending'].includes(status?.phase ?? 'Pending') || metadata.deletionTimestamp !== undefined;
const isReady = ({ status }: Readonly<PodObject>): boolean =>
  status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;

function mayGoUnhealthy({ spec, status }: Readonly<Budget>): boolean {
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  const desired = status?.desiredHealthy ?? 0;
  return (status?.currentHealthy ?? 0) >= desired && desired > 0;
}
const budgetsOf = (call: Call, pod: Readonly<PodObject>): Budget[] =>
  (call.core.reader.list(podDisruptionBudgetKind, call.info.namespace) as Budget[]).filter(
    ({ spec }) => spec?.selector && matchesLabels(selectorOf(spec.selector), pod.metadata.labels),
  );

const refusal = (code: number, reason: string, message: string, why: string, retry = 0): StatusError =>
  new StatusError(code, reason, message, {
    ...(retry > 0 && { retryAfterSeconds: retry }),
    causes: [{ reason: 'DisruptionBudget', message: why }],
  });

/** One disruption less, with the version that was read: two evictions never share the last one. */
async function take(call: Call, budget: Readonly<Budget>, podName: string): Promise<void> {
  const name = budget.metadata.name!;
  const spend = (now: Budget): Budget => {
    check(now);
    delete now.metadata.resourceVersion; // a lost race is tried again, not refused
    const left = (now.status!.disruptionsAllowed ?? 0) - 1;
    const disruptedPods = { ...now.status!.disruptedPods, [podName]: timeText(call.nowMs) };
    return { ...now, status: { ...now.status!, disruptionsAllowed: left, disruptedPods } };
  };
  if (call.dryRun) {
    check(budget);
    return;
  }
  const system = systemCall(call.core, podDisruptionBudgetKind as AnyKind, 'update', call.info.namespace, name);
  await updateObject(system, {
    verb: 'update',
    subresource: 'status',
    build: (now) => spend(now.draft() as unknown as Budget) as unknown as AnyObject,
  });
}

function check({ metadata, status }: Readonly<Budget>): void {
  const name = metadata.name!;
  const budget = `The disruption budget ${name}`;
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0))
    throw refusal(
      429,
      'TooManyRequests',
      violates,
      `${budget} is still being processed by the server.`,
      retryAfterSeconds,
    );
  if (Object.keys(status?.disruptedPods ?? {}).length > pendingEvictionsMax)
    throw refusal(
      403,
      'Forbidden',
      `poddisruptionbudget.policy "${name}" is forbidden: DisruptedPods map too big - too many evictions not confirmed by PDB controller`,
      `${budget} does not allow evicting pods currently: too many pending evictions not confirmed by PDB controller`,
    );
  if ((status?.disruptionsAllowed ?? 0) > 0) return;
  const condition = status?.conditions?.find((one) => one.type === 'DisruptionAllowed' && one.status === 'False');
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
  const why =
    condition?.reason === 'SyncFailed' && condition.message
      ? `${budget} does not allow evicting pods currently because it failed sync: ${condition.message}`
      : currentHealthy <= desiredHealthy
        ? `${budget} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`
        : condition?.message
          ? `${budget} does not allow evicting pods currently (${condition.reason}): ${condition.message}`
          : `${budget} does not allow evicting pods currently`;
  throw refusal(429, 'TooManyRequests', violates, why);
}

/** Says in the pod's status why it goes, then deletes it. */
async function remove(call: Call, pod: Readonly<PodObject>, options: DeleteOptions): Promise<void> {
  const { namespace, name } = call.info;
  const asked = options.preconditions?.resourceVersion;
  if (!call.dryRun && !pod.metadata.deletionTimestamp && (!asked || asked === pod.metadata.resourceVersion)) {
    const next = await updateObject(call, {
      verb: 'update',
      subresource: 'eviction',
      trusted: true,
      build(current) {
        const draft = current.draft() as AnyObject & Pod;
        draft.metadata.resourceVersion = asked;
        const others = (draft.status?.conditions ?? []).filter((condition) => condition.type !== 'DisruptionTarget');
        const target = {
          type: 'DisruptionTarget',
          status: 'True',
          lastProbeTime: null,
          lastTransitionTime: timeText(call.nowMs),
          reason: 'EvictionByEvictionAPI',
          message: 'Eviction API: evicting',
        };
        (draft as JsonObject)['status'] = { ...draft.status, conditions: [...others, target] };
        return draft;
      },
    });
    if (asked) options = { ...options, preconditions: { ...options.preconditions, resourceVersion: next.version } };
  }
  await deleteObject(call, namespace, name, options);
}
