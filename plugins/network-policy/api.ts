import {
  type AnyKind,
  type AnyObject,
  type ApiPart,
  clusterRoleBindingKind,
  clusterRoleKind,
  ensureObject,
} from '#sdk';

const rbac = 'rbac.authorization.k8s.io';
const name = 'system:pintle:network-policy';
const read = ['get', 'list', 'watch'];

/** What the node parts read beyond the service proxy, whose informers they share: selectors are looked up in all of it. */
const rights: readonly [AnyKind, AnyObject][] = [
  [
    clusterRoleKind as AnyKind,
    {
      metadata: { name },
      rules: [
        { apiGroups: [''], resources: ['pods', 'namespaces'], verbs: read },
        { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: read },
      ],
    } as unknown as AnyObject,
  ],
  [
    clusterRoleBindingKind as AnyKind,
    {
      metadata: { name },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name },
      subjects: [{ apiGroup: rbac, kind: 'User', name: 'system:kube-proxy' }],
    } as unknown as AnyObject,
  ],
];

export default {
  name: 'network-policy',
  async start(context) {
    for (const [kind, wanted] of rights) await ensureObject(context, kind, wanted);
  },
} satisfies ApiPart;
