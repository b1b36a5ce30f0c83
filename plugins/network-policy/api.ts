import { type AnyKind, type AnyObject, type ApiPart, clusterRoleBindingKind, clusterRoleKind, isReason } from '#sdk';

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
  async start({ objects }) {
    for (const [kind, wanted] of rights) {
      await objects.create(kind, wanted).catch((error: unknown) => {
        if (!isReason(error, 'AlreadyExists')) throw error;
      });
      await objects.update(kind, { name }, (draft) => {
        const stale = ['rules', 'subjects'].filter((field) => !Bun.deepEquals(draft[field], wanted[field]));
        for (const field of stale) draft[field] = wanted[field];
        return stale.length > 0;
      });
    }
  },
} satisfies ApiPart;
