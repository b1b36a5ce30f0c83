import {
  type AnyKind,
  type AnyObject,
  type ApiPart,
  type ApiPartContext,
  clusterRoleBindingKind,
  clusterRoleKind,
  isReason,
  type KubeObject,
  roleBindingKind,
  roleKind,
  serviceKind,
} from '#sdk';
import { addressNumber, dnsName, dnsNamespace } from './places.ts';

const rbac = 'rbac.authorization.k8s.io';
const user = (name: string) => [{ apiGroup: rbac, kind: 'User', name }];
const roleName = 'system:pintle:dns';

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
    for (const [kind, object] of rights) await ensure(context, kind, object);
    const first = context.reader.get(serviceKind, 'default', 'kubernetes')?.spec?.clusterIP;
    const clusterIP = first && nthFrom(first, addressNumber - 1);
    if (!clusterIP) throw new Error('the service default/kubernetes has no IPv4 address to count from');
    await ensure(context, serviceKind, {
      metadata: {
        name: dnsName,
        namespace: dnsNamespace,
        labels: { 'k8s-app': dnsName, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
      },
      spec: {
        clusterIP,
        ports: [
          { name: 'dns', protocol: 'UDP', port: 53 },
          { name: 'dns-tcp', protocol: 'TCP', port: 53 },
        ],
      },
    });
  },
} satisfies ApiPart;

async function ensure({ objects }: ApiPartContext, kind: { readonly plural: string }, object: object): Promise<void> {
  try {
    await objects.create(kind as AnyKind, object as AnyObject & KubeObject);
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) throw error; // from an earlier start, or by another API server
  }
}

/** Undefined for what is no IPv4 address. */
export function nthFrom(address: string, by: number): string | undefined {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part))) return undefined;
  const value = parts.reduce((sum, part) => sum * 256 + part, 0) + by;
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
