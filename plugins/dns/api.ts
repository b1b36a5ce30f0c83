import {
  type AnyKind,
  type AnyObject,
  type ApiPart,
  type ApiPartContext,
  clusterRoleBindingKind,
  clusterRoleKind,
  isReason,
  roleBindingKind,
  roleKind,
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
    for (const [kind, object] of rights) await ensure(context, kind as AnyKind, object as AnyObject);
    const object = serviceFor(context.reader.get(serviceKind, 'default', 'kubernetes'));
    if (!object) throw new Error('the service default/kubernetes has no IPv4 address to count from');
    await ensure(context, serviceKind as AnyKind, object as unknown as AnyObject);
  },
} satisfies ApiPart;

/** Creates it, or brings what it says of rights to what this version wants; the Service stays as people left it. */
async function ensure({ objects, reader }: ApiPartContext, kind: AnyKind, wanted: AnyObject): Promise<void> {
  const { name = '', namespace = '' } = wanted.metadata;
  try {
    // Asked first: to create a service that is there is refused for its address, before its name is looked at.
    if (!reader.get(kind, namespace, name)) return await objects.create(kind, wanted);
  } catch (error) {
    if (!isReason(error, 'AlreadyExists') && !reader.get(kind, namespace, name)) throw error; // else another API server was faster
  }
  await objects.update(kind, { namespace, name }, (draft) => {
    const stale = ['rules', 'subjects'].filter((field) => !Bun.deepEquals(draft[field], wanted[field]));
    for (const field of stale) draft[field] = wanted[field];
    return stale.length > 0;
  });
}
