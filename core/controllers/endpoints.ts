import {
  type EndpointSubset,
  endpointSliceKind,
  endpointsKind,
  isReason,
  type KubeObject,
  keyOf,
  matchesSet,
  nodeKind,
  type Pod,
  podKind,
  type Service,
  serviceKind,
} from '#api';
import { timeText } from '#base';
import { type ControllerSpec, isFinished, isTerminating, type ReconcileContext } from '#sdk';
import {
  headlessLabel,
  isNowhere,
  managedBy,
  managedByLabel,
  type NodeZones,
  planSlices,
  serviceLabel,
  sliceLabels,
} from './plan-slices.ts';
import { planSubsets } from './plan-subsets.ts';
import { traceEndpoints } from './trace-endpoints.ts';

export const triggerAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';
const overCapacityAnnotation = 'endpoints.kubernetes.io/over-capacity';
/** A pod that names a node that is not there, or not yet. */
const lookAgainMs = 1_000;
const endpointsManagedBy = 'endpoints.kubernetes.io/managed-by';
const endpointsManager = 'endpoint-controller';
const isOurs = ({ metadata }: KubeObject): boolean => metadata.labels?.[endpointsManagedBy] === endpointsManager;
type ServiceObject = Readonly<Service & KubeObject>;

/** Endpoints and EndpointSlices of every Service with a selector, in one pass. Those made by hand stay untouched. */
export const endpointsController: ControllerSpec<Service & KubeObject> = {
  name: 'endpointslice-controller',
  watches: serviceKind,
  alsoOn: [
    {
      kind: podKind,
      keys: (pod: Readonly<Pod & KubeObject>, informers) =>
        informers
          .informer(serviceKind)
          .cache.list(pod.metadata.namespace)
          .filter((service) => matchesSet(service.spec?.selector, pod.metadata.labels))
          .map(keyOf),
    },
    // Hand-written ones are no business of ours, a Service of that name or not.
    { kind: endpointsKind, keys: (endpoints: KubeObject) => (isOurs(endpoints) ? [keyOf(endpoints)] : []) },
    {
      kind: endpointSliceKind,
      keys: (slice: KubeObject) => {
        const { namespace, labels } = slice.metadata;
        const name = labels?.[serviceLabel];
        return name && labels?.[managedByLabel] === managedBy ? [{ namespace, name }] : [];
      },
    },
    { kind: nodeKind, keys: () => [] }, // for zones: read, and never a reason to wake
  ],
  reconciler: {
    async reconcile(key, service, context) {
      const { informers, client } = context;
      const slices = informers
        .informer(endpointSliceKind)
        .cache.list(key.namespace)
        .filter(
          (slice) =>
            slice.metadata.labels?.[serviceLabel] === key.name && slice.metadata.labels[managedByLabel] === managedBy,
        );
      if (!service) {
        if (informers.informer(endpointsKind).cache.get(key)) await gone(client.delete(endpointsKind, key));
        for (const slice of slices) await gone(client.delete(endpointSliceKind, keyOf(slice)));
        return;
      }
      const { selector, type } = service.spec ?? {};
      if (service.metadata.deletionTimestamp || type === 'ExternalName' || !selector || !Object.keys(selector).length)
        return;
      const pods = informers
        .informer(podKind)
        .cache.list(key.namespace)
        .filter((pod) => matchesSet(selector, pod.metadata.labels));
      const zones = zonesOf(context);
      try {
        const plan = planSlices(service, pods, zones, slices);
        const fromMs = context.clock.now();
        await writeSlices(service, plan, context);
        traceEndpoints(context, { name: key.name, fromMs }, slices, [...plan.create, ...plan.update]);
        await writeEndpoints(service, planSubsets(service, pods), context);
      } catch (error) {
        if (!isTerminating(error)) throw error;
      }
      const isMissing = pods.some((pod) => pod.status?.podIP && !isFinished(pod) && isNowhere(service, pod, zones));
      return isMissing ? { requeueAfterMs: lookAgainMs } : undefined;
    },
  },
};

const zonesOf = ({ informers }: ReconcileContext): NodeZones =>
  new Map(
    informers
      .informer(nodeKind)
      .cache.list()
      .map(({ metadata }) => [metadata.name!, metadata.labels?.['topology.kubernetes.io/zone']]),
  );

async function gone(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isReason(error, 'NotFound')) throw error;
  }
}

async function writeSlices(
  service: ServiceObject,
  plan: ReturnType<typeof planSlices>,
  { client, clock }: ReconcileContext,
): Promise<void> {
  const { name, namespace, uid } = service.metadata;
  const annotations = { [triggerAnnotation]: timeText(clock.now()) };
  const labels = sliceLabels(service);
  // New ones first: an endpoint that moves must not be missing for a moment.
  for (const want of plan.create)
    await client.create(endpointSliceKind, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        generateName: `${name}-`,
        namespace,
        labels,
        annotations,
        ownerReferences: [
          { apiVersion: 'v1', kind: 'Service', name: name!, uid: uid!, controller: true, blockOwnerDeletion: true },
        ],
      },
      ...want,
    });
  for (const { slice, endpoints, labels } of plan.update) {
    const metadata = { ...slice.metadata, labels, annotations: { ...slice.metadata.annotations, ...annotations } };
    await client.update(endpointSliceKind, { ...slice, metadata, endpoints });
  }
  for (const slice of plan.remove) await gone(client.delete(endpointSliceKind, keyOf(slice as KubeObject)));
}

async function writeEndpoints(
  service: ServiceObject,
  { subsets, isCut }: ReturnType<typeof planSubsets>,
  context: ReconcileContext,
): Promise<void> {
  const { client, informers, clock } = context;
  const key = keyOf(service);
  const current = informers.informer(endpointsKind).cache.get(key);
  const labels: Record<string, string> = {
    ...service.metadata.labels,
    [endpointsManagedBy]: endpointsManager,
    ...(service.spec?.clusterIP === 'None' && { [headlessLabel]: '' }),
  };
  const isToldCut = current?.metadata.annotations?.[overCapacityAnnotation] !== undefined;
  const isSame = current && sameSubsets(current.subsets, subsets) && sameMap(current.metadata.labels, labels);
  if (isSame && isToldCut === isCut) return;
  const annotations: Record<string, string> = {
    ...current?.metadata.annotations,
    [triggerAnnotation]: timeText(clock.now()),
  };
  if (isCut) annotations[overCapacityAnnotation] = 'truncated';
  else delete annotations[overCapacityAnnotation];
  if (current)
    await client.update(endpointsKind, { ...current, metadata: { ...current.metadata, labels, annotations }, subsets });
  else
    await client.create(endpointsKind, {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { ...key, labels, annotations },
      subsets,
    });
}
const sameMap = (left: Readonly<Record<string, string>> = {}, right: Readonly<Record<string, string>>): boolean =>
  Object.keys(left).length === Object.keys(right).length &&
  Object.keys(right).every((name) => left[name] === right[name]);
function sameSubsets(left: readonly EndpointSubset[] = [], right: readonly EndpointSubset[]): boolean {
  const normal = (subsets: readonly EndpointSubset[]) =>
    JSON.stringify(
      subsets
        .map((subset) => [
          [subset.addresses ?? [], subset.notReadyAddresses ?? []].map((list) =>
            list
              .map((address) =>
                [address.ip, address.targetRef?.uid ?? '', address.nodeName ?? '', address.hostname ?? ''].join(' '),
              )
              .sort(),
          ),
          (subset.ports ?? [])
            .map((port) => [port.name ?? '', port.port, port.protocol ?? 'TCP', port.appProtocol ?? ''].join(' '))
            .sort(),
        ])
        .sort(),
    );
  return normal(left) === normal(right);
}
