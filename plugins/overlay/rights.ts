import {
  type AnyKind,
  type AnyObject,
  type ApiPartContext,
  clusterRoleBindingKind,
  clusterRoleKind,
  ensureObject,
  roleBindingKind,
  roleKind,
} from '#sdk';
import { hostLeaseKind, overlayNetworkKind, presharedSecret } from './kinds.ts';

const rbac = 'rbac.authorization.k8s.io';
const apiGroups = [hostLeaseKind.group];
const user = (name: string) => ({ apiGroup: rbac, kind: 'User', name });
const members = (name: string) => ({ apiGroup: rbac, kind: 'Group', name });
const read = ['get', 'list', 'watch'];
const [leases, networks] = [hostLeaseKind.plural, overlayNetworkKind.plural];

const clusterWide = (name: string, rules: readonly object[], subjects: readonly object[]): [AnyKind, object][] => [
  [clusterRoleKind as AnyKind, { metadata: { name }, rules }],
  [
    clusterRoleBindingKind as AnyKind,
    { metadata: { name }, roleRef: { apiGroup: rbac, kind: 'ClusterRole', name }, subjects },
  ],
];

/** What the plugin's other parts may do beyond the components in whose processes they run. */
const rights: [AnyKind, object][] = [
  ...clusterWide(
    'system:pintle:overlay-controller',
    [
      { apiGroups, resources: [leases], verbs: [...read, 'create', 'update', 'patch', 'delete'] },
      { apiGroups, resources: [networks], verbs: read },
      { apiGroups, resources: [`${networks}/status`], verbs: ['update', 'patch'] },
      { apiGroups: [''], resources: ['nodes'], verbs: [...read, 'patch'] },
      { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
    ],
    [user('system:kube-controller-manager')],
  ),
  // Which lease a node may change, and what of it, admission says.
  ...clusterWide(
    'system:pintle:overlay-node',
    [
      { apiGroups, resources: [leases, networks], verbs: read },
      { apiGroups, resources: [leases, `${leases}/status`], verbs: ['update', 'patch'] },
    ],
    [members('system:nodes')],
  ),
  ...clusterWide(
    'system:pintle:overlay-reader',
    [{ apiGroups, resources: [leases, networks], verbs: read }],
    [user('system:kube-proxy')],
  ),
  // Every host is one end of a pair, so every node may read the secret that the keys of the pairs are made from.
  [
    roleKind as AnyKind,
    {
      metadata: { name: 'system:pintle:overlay-node', namespace: presharedSecret.namespace },
      rules: [{ apiGroups: [''], resources: ['secrets'], resourceNames: [presharedSecret.name], verbs: ['get'] }],
    },
  ],
  [
    roleBindingKind as AnyKind,
    {
      metadata: { name: 'system:pintle:overlay-node', namespace: presharedSecret.namespace },
      roleRef: { apiGroup: rbac, kind: 'Role', name: 'system:pintle:overlay-node' },
      subjects: [members('system:nodes')],
    },
  ],
];

export async function grantRights(context: ApiPartContext): Promise<void> {
  for (const [kind, object] of rights) await ensureObject(context, kind, object as AnyObject);
}
