import type * as t from './gen/types.ts';
import type { Kind, KubeObject } from './meta.ts';

type As<T> = T & KubeObject;
const core = { group: '', version: 'v1' } as const;
const coreType = (kind: string) => `io.k8s.api.core.v1.${kind}`;
function coreKind<T>(
  kind: string,
  plural: string,
  namespaced: boolean,
  shortNames: string[] = [],
  categories?: string[],
): Kind<As<T>> {
  return {
    ...core,
    kind,
    plural,
    singular: kind.toLowerCase(),
    namespaced,
    shortNames,
    categories,
    type: coreType(kind),
  };
}

export const namespaceKind = coreKind<t.Namespace>('Namespace', 'namespaces', false, ['ns']);
export const nodeKind = coreKind<t.Node>('Node', 'nodes', false, ['no']);
export const podKind = coreKind<t.Pod>('Pod', 'pods', true, ['po'], ['all']);
export const replicationControllerKind = coreKind<t.ReplicationController>(
  'ReplicationController',
  'replicationcontrollers',
  true,
  ['rc'],
  ['all'],
);
export const serviceKind = coreKind<t.Service>('Service', 'services', true, ['svc'], ['all']);
export const endpointsKind = coreKind<t.Endpoints>('Endpoints', 'endpoints', true, ['ep']);
export const eventKind = coreKind<t.Event>('Event', 'events', true, ['ev']);
export const configMapKind = coreKind<t.ConfigMap>('ConfigMap', 'configmaps', true, ['cm']);
export const secretKind = coreKind<t.Secret>('Secret', 'secrets', true);
export const serviceAccountKind = coreKind<t.ServiceAccount>('ServiceAccount', 'serviceaccounts', true, ['sa']);
export const endpointSliceKind: Kind<As<t.EndpointSlice>> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  singular: 'endpointslice',
  namespaced: true,
  type: 'io.k8s.api.discovery.v1.EndpointSlice',
};
export const leaseKind: Kind<As<t.Lease>> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  singular: 'lease',
  namespaced: true,
  type: 'io.k8s.api.coordination.v1.Lease',
};

export const builtinKinds: readonly Kind<KubeObject>[] = [
  namespaceKind,
  nodeKind,
  podKind,
  replicationControllerKind,
  serviceKind,
  endpointsKind,
  eventKind,
  configMapKind,
  secretKind,
  serviceAccountKind,
  endpointSliceKind,
  leaseKind,
] as readonly Kind<KubeObject>[];
