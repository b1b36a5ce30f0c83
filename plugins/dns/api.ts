import {
  type AnyKind,
  type AnyObject,
  type ApiPart,
  type ApiPartContext,
  clusterRoleBindingKind,
  clusterRoleKind,
  ensureObject,
  roleBindingKind,
  roleKind,
  serviceCidrKind,
  serviceKind,
} from '#sdk';
import { dnsName, dnsNamespace } from './places.ts';
import { serviceFor } from './service.ts';

const rbac = 'rbac.authorization.k8s.io';
const user = (name: string) => [{ apiGroup: rbac, kind: 'User', name }];
const roleName = 'system:pintle:dns';
const controllerRole = 'system:pintle:dns-controller';

/** What the plugin's other parts may read and write beyond the components in whose processes they run. */
const rights: [{ readonly plural: string }, object][] = [
  [
    clusterRoleKind,
    {
      metadata: { name: roleName },
      rules: [{ apiGroups: [''], resources: ['namespaces'], verbs: ['get', 'list', 'watch'] }],
    },
  ],
  [
    clusterRoleBindingKind,
    {
      metadata: { name: roleName },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: roleName },
      subjects: user('system:kube-proxy'),
    },
  ],
  [
    roleKind,
    {
      metadata: { name: roleName, namespace: dnsNamespace },
      rules: [
        { apiGroups: [''], resources: ['configmaps'], resourceNames: [dnsName], verbs: ['get', 'list', 'watch'] },
      ],
    },
  ],
  [
    roleKind,
    {
      metadata: { name: controllerRole, namespace: dnsNamespace },
      rules: [{ apiGroups: [''], resources: ['services'], verbs: ['create'] }],
    },
  ],
  [
    roleBindingKind,
    {
      metadata: { name: controllerRole, namespace: dnsNamespace },
      roleRef: { apiGroup: rbac, kind: 'Role', name: controllerRole },
      subjects: user('system:kube-controller-manager'),
    },
  ],
  [
    roleBindingKind,
    {
      metadata: { name: roleName, namespace: dnsNamespace },
      roleRef: { apiGroup: rbac, kind: 'Role', name: roleName },
      subjects: user('system:kube-proxy'),
    },
  ],
];

/** The Service, before anybody can start a pod that is to know it. */
export default {
  name: 'dns',
  async start(context: ApiPartContext) {
    for (const [kind, object] of rights) await ensureObject(context, kind as AnyKind, object as AnyObject);
    const object = serviceFor(context.reader.get(serviceCidrKind, '', 'kubernetes'));
    if (!object) throw new Error('the ServiceCIDR kubernetes has no range to count addresses in');
    await ensureObject(context, serviceKind as AnyKind, object as unknown as AnyObject);
  },
} satisfies ApiPart;
