import {
  type Condition,
  isReason,
  type Kind,
  type KubeObject,
  matchesLabels,
  type Pod,
  type PodDisruptionBudget,
  podDisruptionBudgetKind,
  podKind,
  replicationControllerKind,
  selectorOf,
} from '#api';
import { timeText } from '#base';
import type { ControllerSpec, ReconcileContext } from '#sdk';
import { discoverKinds } from './discovery.ts';

type Budget = PodDisruptionBudget & KubeObject;
type PodObject = Readonly<Pod & KubeObject>;
/** An eviction that did not delete its pod within this long counts no more. */
const evictionMs = 120_000;

/** How many pods of a budget may be evicted now: the eviction subresource takes from it, this counts again. */
export const disruptionController: ControllerSpec<Budget> = {
  name: 'disruption-controller',
  watches: podDisruptionBudgetKind,
  alsoOn: [
    {
      kind: podKind,
      keys: (pod: PodObject, caches) =>
        caches
          .informer(podDisruptionBudgetKind)
          .cache.list()
          .filter((budget) => selects(budget, pod))
          .map((budget) => ({ namespace: budget.metadata.namespace, name: budget.metadata.name! })),
    },
  ],
  reconciler: {
    async reconcile(_key, current, context) {
      if (!current || current.metadata.deletionTimestamp) return;
      const { client, informers, clock, events } = context;
      const pods = informers
        .informer(podKind)
        .cache.list()
        .filter((pod) => selects(current, pod)) as PodObject[];
      if (pods.length === 0) events.event(current, 'Normal', 'NoPods', 'No matching pods found');
      const nowMs = clock.now();
      for (const pod of notDeleted(current, pods, nowMs))
        events.event(
          pod,
          'Warning',
          'NotDeleted',
          `Pod was expected by PDB ${current.metadata.namespace}/${current.metadata.namespace} to be deleted but it wasn't`, // the namespace twice, as upstream
        );
      let status: Budget['status'];
      let failure: unknown;
      try {
        const needsScale = current.spec?.maxUnavailable !== undefined || typeof current.spec?.minAvailable === 'string';
        const scale = needsScale ? await expectedScale(pods, context) : pods.length;
        if (needsScale && pods.some((pod) => !controllerOf(pod)))
          events.event(current, 'Warning', 'UnmanagedPods', unmanagedText(current));
        status = countBudget(current, pods, scale, nowMs);
      } catch (error) {
        failure = error;
        const why = error instanceof Error ? error.message : String(error);
        events.event(
          current,
          'Warning',
          'CalculateExpectedPodCountFailed',
          `Failed to calculate the number of expected pods: ${why}`,
        );
        const condition = conditionOf(current, 'False', 'SyncFailed', why, nowMs);
        status = { ...emptyStatus, ...current.status, disruptionsAllowed: 0, conditions: [condition] };
      }
      if (JSON.stringify(status) !== JSON.stringify(current.status))
        await client.update(podDisruptionBudgetKind, { ...current, status }, { subresource: 'status' });
      if (failure) throw failure;
      return Object.keys(status?.disruptedPods ?? {}).length > 0 ? { requeueAfterMs: evictionMs } : undefined;
    },
  },
};
/** Upstream's sentence, with a selector as its language prints it. */
function unmanagedText({ spec }: Readonly<Budget>): string {
  const labels = Object.entries(spec?.selector?.matchLabels ?? {}).sort();
  const selector = `&LabelSelector{MatchLabels:map[string]string{${labels.map(([key, value]) => `${key}: ${value},`).join('')}},MatchExpressions:[]LabelSelectorRequirement{},}`;
  return `Pods selected by this PodDisruptionBudget (selector: ${selector}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.`;
}
/** Pods whose eviction was paid for and that are still there. */
const notDeleted = ({ status }: Readonly<Budget>, pods: readonly PodObject[], nowMs: number): PodObject[] =>
  pods.filter(({ metadata }) => {
    const at = status?.disruptedPods?.[metadata.name ?? ''];
    return at && !metadata.deletionTimestamp && Date.parse(at) + evictionMs <= nowMs;
  });
const emptyStatus = { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 };

/** An empty selector selects every pod of the namespace, an absent one none. */
export const selects = ({ metadata, spec }: Readonly<Budget>, pod: PodObject): boolean =>
  spec?.selector !== undefined &&
  pod.metadata.namespace === metadata.namespace &&
  matchesLabels(selectorOf(spec.selector), pod.metadata.labels);

const isReady = ({ status }: PodObject): boolean =>
  status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;
/** Rounded up, as budgets are: fewer may go. */
const scaled = (value: number | string, of: number): number =>
  typeof value === 'number' ? value : Math.ceil((Number.parseInt(value, 10) * of) / 100);

/** The status of a budget over these pods. Pure. `scale`: how many pods their controllers want. */
export function countBudget(
  budget: Readonly<Budget>,
  pods: readonly PodObject[],
  scale: number,
  nowMs: number,
): NonNullable<Budget['status']> {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  const disrupted = Object.fromEntries(
    Object.entries(budget.status?.disruptedPods ?? {}).filter(([name, time]) => {
      const pod = pods.find((candidate) => candidate.metadata.name === name);
      return pod && !pod.metadata.deletionTimestamp && Date.parse(time) + evictionMs > nowMs;
    }),
  );
  const healthy = pods.filter(
    (pod) => !pod.metadata.deletionTimestamp && !disrupted[pod.metadata.name ?? ''] && isReady(pod),
  ).length;
  const desired =
    maxUnavailable !== undefined
      ? Math.max(0, scale - scaled(maxUnavailable, scale))
      : minAvailable !== undefined
        ? scaled(minAvailable, scale)
        : 0;
  const expected = minAvailable === undefined && maxUnavailable === undefined ? 0 : scale;
  const allowed = expected <= 0 ? 0 : Math.max(0, healthy - desired);
  const condition = conditionOf(
    budget,
    allowed > 0 ? 'True' : 'False',
    allowed > 0 ? 'SufficientPods' : 'InsufficientPods',
    '',
    nowMs,
  );
  return {
    conditions: [condition],
    currentHealthy: healthy,
    desiredHealthy: desired,
    ...(Object.keys(disrupted).length > 0 && { disruptedPods: disrupted }),
    disruptionsAllowed: allowed,
    expectedPods: expected,
    observedGeneration: budget.metadata.generation,
  };
}

function conditionOf(
  budget: Readonly<Budget>,
  status: 'True' | 'False',
  reason: string,
  message: string,
  nowMs: number,
): Condition {
  const old = budget.status?.conditions?.find((condition) => condition.type === 'DisruptionAllowed');
  const lastTransitionTime = old?.status === status ? old.lastTransitionTime : timeText(nowMs);
  const observedGeneration = budget.metadata.generation;
  return { lastTransitionTime, message, observedGeneration, reason, status, type: 'DisruptionAllowed' } as Condition;
}

interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}
const controllerOf = ({ metadata }: Readonly<KubeObject>): Owner | undefined =>
  metadata.ownerReferences?.find((reference) => reference.controller);

/** Sum of the replicas that the controllers of these pods want; pods without a controller do not count. */
async function expectedScale(pods: readonly PodObject[], context: ReconcileContext): Promise<number> {
  const direct = new Map<string, { owner: Owner; pod: PodObject }>();
  for (const pod of pods) {
    const owner = controllerOf(pod);
    if (owner) direct.set(owner.uid, { owner, pod });
  }
  // ReplicaSets of one Deployment count together: while it rolls out, they want more than it does.
  const owners = new Map<string, { owner: Owner; pod: PodObject }>();
  for (const { owner: first, pod } of direct.values()) {
    const owner = await topOf(first, pod, context);
    owners.set(owner.uid, { owner, pod });
  }
  let sum = 0;
  for (const { owner, pod } of owners.values()) {
    const namespace = pod.metadata.namespace;
    const { apiVersion, kind, name } = owner;
    if (apiVersion === 'v1' && kind === 'ReplicationController')
      sum += context.informers.informer(replicationControllerKind).cache.get({ namespace, name })?.spec?.replicas ?? 0;
    else sum += await scaleOf(apiVersion, kind, { namespace, name }, pod, context);
  }
  return sum;
}

/** The Deployment of a ReplicaSet, where it has one. */
async function topOf(owner: Owner, pod: PodObject, { client }: ReconcileContext): Promise<Owner> {
  if (owner.kind !== 'ReplicaSet' || !owner.apiVersion.startsWith('apps/')) return owner;
  const path = `/apis/${owner.apiVersion}/namespaces/${pod.metadata.namespace}/replicasets/${owner.name}`;
  try {
    const set = await client.request<KubeObject>('GET', path);
    const above = set.metadata.uid === owner.uid ? controllerOf(set) : undefined;
    return above?.kind === 'Deployment' && above.apiVersion.startsWith('apps/') ? above : owner;
  } catch (error) {
    if (isReason(error, 'NotFound')) return owner; // its scale is asked for next, which says so
    throw error;
  }
}

async function scaleOf(
  apiVersion: string,
  kindName: string,
  key: { namespace: string | undefined; name: string },
  pod: PodObject,
  { client }: ReconcileContext,
): Promise<number> {
  const { kinds } = await discoverKinds(client);
  const slash = apiVersion.indexOf('/');
  const [group, version] = slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
  const kind = kinds.find((one) => one.group === group && one.version === version && one.kind === kindName);
  const none = new Error(`found no controllers for pod ${JSON.stringify(pod.metadata.name)}`);
  if (!kind) throw none;
  try {
    const scale = await client.get(kind as Kind<KubeObject & { spec?: { replicas?: number } }>, key, {
      subresource: 'scale',
    });
    return scale.spec?.replicas ?? 0;
  } catch (error) {
    throw isReason(error, 'NotFound') ? none : error;
  }
}
