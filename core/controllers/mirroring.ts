import {
  type EndpointSlice,
  type Endpoints,
  endpointSliceKind,
  endpointsKind,
  type KubeObject,
  keyOf,
  serviceKind,
} from '#api';
import { type ControllerSpec, isReason, isTerminating, type ReconcileContext } from '#sdk';
import { triggerAnnotation } from './endpoints.ts';
import { mirroredMax, planMirror } from './plan-mirror.ts';
import { managedByLabel, serviceLabel } from './plan-slices.ts';

const managedBy = 'endpointslicemirroring-controller.k8s.io';
const skipLabel = 'endpointslice.kubernetes.io/skip-mirror';
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';
const notMirrored = new Set([triggerAnnotation, 'kubectl.kubernetes.io/last-applied-configuration']);
type TheEndpoints = Readonly<Endpoints & KubeObject>;

/** Endpoints that somebody wrote for a Service without a selector, as EndpointSlices: proxies and DNS read these alone. */
export const mirroringController: ControllerSpec<Endpoints & KubeObject> = {
  name: 'endpointslicemirroring-controller',
  watches: endpointsKind,
  alsoOn: [
    { kind: serviceKind, keys: (service: KubeObject) => [keyOf(service)] },
    {
      kind: endpointSliceKind,
      keys: ({ metadata: { namespace, labels } }: KubeObject) =>
        labels?.[managedByLabel] === managedBy && labels[serviceLabel]
          ? [{ namespace, name: labels[serviceLabel] }]
          : [],
    },
  ],
  reconciler: {
    async reconcile(key, endpoints, context) {
      const { informers, client } = context;
      const service = informers.informer(serviceKind).cache.get(key);
      const existing = informers
        .informer(endpointSliceKind)
        .cache.list(key.namespace)
        .filter(
          ({ metadata: { labels } }) => labels?.[serviceLabel] === key.name && labels?.[managedByLabel] === managedBy,
        );
      const wanted = endpoints && service && !service.spec?.selector && isMirrored(endpoints) ? endpoints : undefined;
      const plan = planMirror(wanted, existing);
      try {
        for (const slice of plan.create) await client.create(endpointSliceKind, { ...headOf(wanted!), ...slice });
        for (const { slice, next } of plan.update)
          await client.update(endpointSliceKind, { ...slice, ...next, metadata: mergedMetadata(slice, wanted!) });
      } catch (error) {
        if (!isTerminating(error)) throw error;
      }
      for (const slice of plan.remove)
        await client.delete(endpointSliceKind, keyOf(slice)).catch((error: unknown) => {
          if (!isReason(error, 'NotFound')) throw error;
        });
      if (wanted) tell(wanted, plan, context);
    },
  },
};

const isMirrored = ({ metadata: { labels, annotations } }: TheEndpoints): boolean =>
  labels?.[skipLabel] !== 'true' && annotations?.[leaderAnnotation] === undefined;

function headOf(endpoints: TheEndpoints): Pick<EndpointSlice & KubeObject, 'apiVersion' | 'kind' | 'metadata'> {
  const { name, namespace, uid, labels, annotations } = endpoints.metadata;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels: { ...labels, [serviceLabel]: name!, [managedByLabel]: managedBy },
      annotations: Object.fromEntries(Object.entries(annotations ?? {}).filter(([each]) => !notMirrored.has(each))),
      ownerReferences: [
        { apiVersion: 'v1', kind: 'Endpoints', name: name!, uid: uid!, controller: true, blockOwnerDeletion: true },
      ],
    },
  };
}
function mergedMetadata(slice: Readonly<KubeObject>, endpoints: TheEndpoints): KubeObject['metadata'] {
  const { labels, annotations } = headOf(endpoints).metadata;
  return { ...slice.metadata, labels, annotations };
}

function tell(endpoints: TheEndpoints, plan: ReturnType<typeof planMirror>, { events }: ReconcileContext): void {
  if (plan.create.length + plan.update.length === 0) return; // told when it was written
  if (plan.invalid.length > 0)
    events.event(
      endpoints,
      'Warning',
      'InvalidIPAddress',
      `Skipped ${plan.invalid.length} invalid IP addresses when mirroring to EndpointSlices`,
    );
  if (plan.leftOut > 0)
    events.event(
      endpoints,
      'Warning',
      'TooManyAddressesToMirror',
      `A max of ${mirroredMax} addresses can be mirrored to EndpointSlices per Endpoints subset. ${plan.leftOut} addresses were skipped`,
    );
}
