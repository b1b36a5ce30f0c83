import {
  type AnyKind,
  type AnyObject,
  type ApiPart,
  type ApiPartContext,
  ensureObject,
  ensureRights,
  type Rights,
  serviceCidrKind,
  serviceKind,
  userSubject,
} from '#sdk';
import { dnsName, dnsNamespace } from './places.ts';
import { serviceFor } from './service.ts';

const role = 'system:pintle:dns';
const read = ['get', 'list', 'watch'];

/** What the plugin's other parts may do beyond the components in whose processes they run. */
const rights: readonly Rights[] = [
  {
    name: role,
    rules: [{ apiGroups: [''], resources: ['namespaces'], verbs: read }],
    subject: userSubject('system:kube-proxy'),
  },
  {
    name: role,
    namespace: dnsNamespace,
    rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: [dnsName], verbs: read }],
    subject: userSubject('system:kube-proxy'),
  },
  {
    name: 'system:pintle:dns-controller',
    namespace: dnsNamespace,
    rules: [{ apiGroups: [''], resources: ['services'], verbs: ['create'] }],
    subject: userSubject('system:kube-controller-manager'),
  },
];

/** The Service, before anybody can start a pod that is to know it. */
export default {
  name: 'dns',
  async start(context: ApiPartContext) {
    await ensureRights(context, rights);
    const object = serviceFor(context.reader.get(serviceCidrKind, '', 'kubernetes'));
    if (!object) throw new Error('the ServiceCIDR kubernetes has no range to count addresses in');
    await ensureObject(context, serviceKind as AnyKind, object as unknown as AnyObject);
  },
} satisfies ApiPart;
