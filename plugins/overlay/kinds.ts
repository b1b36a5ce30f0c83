import type { Kind, KubeObject } from '#sdk';
import type { HostLease as LeaseObject } from '../../crds/gen/hostleases.ts';
import type { OverlayNetwork as NetworkObject } from '../../crds/gen/overlaynetworks.ts';

/** The pod addresses of one host and how its peers reach them; its name is the Node's. */
export type HostLease = LeaseObject & KubeObject;
/** Settings and state of the whole overlay; there is one. */
export type OverlayNetwork = NetworkObject & KubeObject;
export type OverlaySettings = NetworkObject['spec'];
export type OverlayStatus = NonNullable<NetworkObject['status']>;
export type LeaseStatus = NonNullable<LeaseObject['status']>;
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  lastTransitionTime: string;
}

const group = 'net.pintle.dev';
const typeOf = (kind: string): string => `dev.pintle.net.v1.${kind}`;
const verbs = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
export const hostLeaseKind: Kind<HostLease> = {
  group,
  version: 'v1',
  kind: 'HostLease',
  plural: 'hostleases',
  singular: 'hostlease',
  namespaced: false,
  shortNames: ['hl'],
  verbs,
  type: typeOf('HostLease'),
};
export const overlayNetworkKind: Kind<OverlayNetwork> = {
  group,
  version: 'v1',
  kind: 'OverlayNetwork',
  plural: 'overlaynetworks',
  singular: 'overlaynetwork',
  namespaced: false,
  shortNames: ['overlay'],
  verbs,
  type: typeOf('OverlayNetwork'),
};
/** The name of the one OverlayNetwork. */
export const networkName = 'cluster';
export const presharedSecret = { namespace: 'kube-system', name: 'overlay-preshared-key' } as const;
/** On a HostLease: a new value asks its host for new keys. On the OverlayNetwork: asks every host. */
export const rotateAnnotation = 'net.pintle.dev/rotate';
/** On a Node: the address that other hosts are to use, where its own is not theirs to reach. */
export const endpointAnnotation = 'net.pintle.dev/endpoint';
/** On a HostLease: since when its Node has been gone. */
export const goneSinceAnnotation = 'net.pintle.dev/node-gone-since';

/** `conditions` with this one; undefined: nothing changed. The time moves only when the status does. */
export function withCondition(
  conditions: readonly Condition[] = [],
  next: Omit<Condition, 'lastTransitionTime'>,
  now: string,
): Condition[] | undefined {
  const former = conditions.find(({ type }) => type === next.type);
  const isSame = former?.status === next.status && former.reason === next.reason && former.message === next.message;
  if (isSame) return undefined;
  const lastTransitionTime = former?.status === next.status ? former.lastTransitionTime : now;
  return [...conditions.filter(({ type }) => type !== next.type), { ...next, lastTransitionTime }];
}
export const isReadyLease = ({ status }: Readonly<HostLease>): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false;
