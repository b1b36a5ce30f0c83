import {
  bringSlices,
  type ControllerSpec,
  type ControllerSpecs,
  type EndpointSlice,
  endpointSliceKind,
  type KubeObject,
  type Node,
  nodeKind,
  type Service,
  serviceCidrKind,
  serviceKind,
  specOf,
} from '#sdk';
import { serviceNameLabel } from './cluster-zone.ts';
import { dnsName, dnsNamespace } from './places.ts';
import { managedBy, managedByLabel, planEndpoints } from './plan-endpoints.ts';
import { serviceFor } from './service.ts';

type SliceObject = EndpointSlice & KubeObject;
const theService = { namespace: dnsNamespace, name: dnsName };

/** Endpoints of the DNS service, from what the servers announce on their Nodes; and the service itself, should it vanish. */
const endpoints: ControllerSpec<Service & KubeObject> = {
  name: 'dns-endpoints',
  watches: serviceKind,
  alsoOn: [
    { kind: serviceCidrKind, keys: () => [] }, // read, and no reason to wake
    { kind: nodeKind, keys: (_node: Node & KubeObject) => [theService] },
    {
      kind: endpointSliceKind,
      keys: ({ metadata }: SliceObject) => (metadata.labels?.[managedByLabel] === managedBy ? [theService] : []),
    },
  ],
  reconciler: {
    async reconcile(key, service, { informers, client }) {
      if (key.namespace !== dnsNamespace || key.name !== dnsName) return;
      if (!service) {
        const again = serviceFor(informers.informer(serviceCidrKind).cache.get({ name: 'kubernetes' }));
        if (again) await client.create(serviceKind, again); // somebody deleted it: pods hold its address for all their lives
        return;
      }
      const nodes = informers.informer(nodeKind).cache.list();
      const wanted = planEndpoints(nodes as (Node & KubeObject)[], service.spec?.ipFamilies);
      const current = (informers.informer(endpointSliceKind).cache.list(dnsNamespace) as SliceObject[]).filter(
        ({ metadata }) =>
          metadata.labels?.[serviceNameLabel] === dnsName && metadata.labels[managedByLabel] === managedBy,
      );
      await bringSlices(client, current, wanted);
    },
  },
};

export default { controllers: [specOf(endpoints)] } satisfies ControllerSpecs;
