import {
  type AnyKind,
  type AnyObject,
  type ApiPart,
  type ApiPartContext,
  type CustomResourceDefinition,
  clusterRoleBindingKind,
  clusterRoleKind,
  ensureObject,
  type KubeObject,
  serveDefinition,
} from '#sdk';
import definition from '../../crds/gen/addresspools.json';
import { poolAdmission } from './admission.ts';
import { addressPoolKind } from './kinds.ts';

const rbac = 'rbac.authorization.k8s.io';
const read = ['get', 'list', 'watch'];
const pools = { apiGroups: [addressPoolKind.group], resources: [addressPoolKind.plural] };

/** What the plugin's other parts may do beyond the components in whose processes they run. */
const rights = [
  {
    name: 'system:pintle:load-balancer-controller',
    user: 'system:kube-controller-manager',
    rules: [
      { ...pools, verbs: read },
      { ...pools, resources: [`${addressPoolKind.plural}/status`], verbs: ['update'] },
      { apiGroups: [''], resources: ['services'], verbs: [...read, 'update'] },
      { apiGroups: [''], resources: ['services/status'], verbs: ['update'] },
    ],
  },
  { name: 'system:pintle:load-balancer-node', user: 'system:kube-proxy', rules: [{ ...pools, verbs: read }] },
];

export default {
  name: 'load-balancer',
  async start(context: ApiPartContext) {
    context.admit(poolAdmission(context.reader, context.cluster?.podRanges ?? []));
    for (const { name, user, rules } of rights) {
      await ensureObject(context, clusterRoleKind as AnyKind, { metadata: { name }, rules } as unknown as AnyObject);
      await ensureObject(
        context,
        clusterRoleBindingKind as AnyKind,
        {
          metadata: { name },
          roleRef: { apiGroup: rbac, kind: 'ClusterRole', name },
          subjects: [{ apiGroup: rbac, kind: 'User', name: user }],
        } as unknown as AnyObject,
      );
    }
    const served = definition as unknown as CustomResourceDefinition & KubeObject;
    await serveDefinition(context, addressPoolKind as AnyKind, served, 'pintle-load-balancer');
  },
} satisfies ApiPart;
