import {
  type AnyKind,
  type ApiPart,
  type ApiPartContext,
  type CustomResourceDefinition,
  ensureRights,
  type KubeObject,
  type Rights,
  serveDefinition,
  userSubject,
} from '#sdk';
import definition from '../../crds/gen/addresspools.json';
import { poolAdmission } from './admission.ts';
import { addressPoolKind } from './kinds.ts';

const read = ['get', 'list', 'watch'];
const pools = { apiGroups: [addressPoolKind.group], resources: [addressPoolKind.plural] };

/** What the plugin's other parts may do beyond the components in whose processes they run. */
const rights: readonly Rights[] = [
  {
    name: 'system:pintle:load-balancer-controller',
    rules: [
      { ...pools, verbs: read },
      { ...pools, resources: [`${addressPoolKind.plural}/status`], verbs: ['update'] },
      { apiGroups: [''], resources: ['services'], verbs: [...read, 'update'] },
      { apiGroups: [''], resources: ['services/status'], verbs: ['update'] },
    ],
    subject: userSubject('system:kube-controller-manager'),
  },
  {
    name: 'system:pintle:load-balancer-node',
    rules: [{ ...pools, verbs: read }],
    subject: userSubject('system:kube-proxy'),
  },
];

export default {
  name: 'load-balancer',
  async start(context: ApiPartContext) {
    context.admit(poolAdmission(context.reader, context.cluster?.podRanges ?? []));
    await ensureRights(context, rights);
    const served = definition as unknown as CustomResourceDefinition & KubeObject;
    await serveDefinition(context, addressPoolKind as AnyKind, served, 'pintle-load-balancer');
  },
} satisfies ApiPart;
