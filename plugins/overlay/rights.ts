import { type Rights, userSubject } from '#sdk';
import { hostLeaseKind, overlayNetworkKind, presharedSecret } from './kinds.ts';

const apiGroups = [hostLeaseKind.group];
const nodes = { kind: 'Group', name: 'system:nodes' } as const;
const read = ['get', 'list', 'watch'];
const [leases, networks] = [hostLeaseKind.plural, overlayNetworkKind.plural];

/** What the plugin's other parts may do beyond the components in whose processes they run. */
export const overlayRights: readonly Rights[] = [
  {
    name: 'system:pintle:overlay-controller',
    rules: [
      { apiGroups, resources: [leases], verbs: [...read, 'create', 'update', 'patch', 'delete'] },
      { apiGroups, resources: [networks], verbs: read },
      { apiGroups, resources: [`${networks}/status`], verbs: ['update', 'patch'] },
      { apiGroups: [''], resources: ['nodes'], verbs: [...read, 'patch'] },
      { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
    ],
    subject: userSubject('system:kube-controller-manager'),
  },
  // Which lease a node may change, and what of it, admission says.
  {
    name: 'system:pintle:overlay-node',
    rules: [
      { apiGroups, resources: [leases, networks], verbs: read },
      { apiGroups, resources: [leases, `${leases}/status`], verbs: ['update', 'patch'] },
    ],
    subject: nodes,
  },
  {
    name: 'system:pintle:overlay-reader',
    rules: [{ apiGroups, resources: [leases, networks], verbs: read }],
    subject: userSubject('system:kube-proxy'),
  },
  // Every host is one end of a pair, so every node may read the secret that the keys of the pairs are made from.
  {
    name: 'system:pintle:overlay-node',
    namespace: presharedSecret.namespace,
    rules: [{ apiGroups: [''], resources: ['secrets'], resourceNames: [presharedSecret.name], verbs: ['get'] }],
    subject: nodes,
  },
];
