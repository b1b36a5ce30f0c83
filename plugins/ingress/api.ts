import {
  type AnyKind,
  type AnyObject,
  type ApiPart,
  type ApiPartContext,
  clusterRoleBindingKind,
  clusterRoleKind,
  ensureObject,
  ingressClassKind,
  roleBindingKind,
  roleKind,
  secretKind,
  serviceKind,
} from '#sdk';
import {
  addressPoolKind,
  certificateSecrets,
  className,
  controllerName,
  defaultCertificateSecret,
  ingressName,
  ingressNamespace,
} from './places.ts';
import { ingressService } from './service.ts';

const rbac = 'rbac.authorization.k8s.io';
const user = (name: string) => [{ apiGroup: rbac, kind: 'User', name }];
const nodeRole = 'system:pintle:ingress';
const controllerRole = 'system:pintle:ingress-controller';
const read = ['get', 'list', 'watch'];
const apiGroups = ['networking.k8s.io'];

const granted = (
  kinds: readonly [AnyKind, AnyKind],
  name: string,
  namespace: string | undefined,
  rules: readonly object[],
  who: string,
): [AnyKind, object][] => [
  [kinds[0], { metadata: { name, ...(namespace ? { namespace } : {}) }, rules }],
  [
    kinds[1],
    {
      metadata: { name, ...(namespace ? { namespace } : {}) },
      roleRef: { apiGroup: rbac, kind: namespace ? 'Role' : 'ClusterRole', name },
      subjects: user(who),
    },
  ],
];
const clusterWide = [clusterRoleKind, clusterRoleBindingKind] as unknown as [AnyKind, AnyKind];
const inNamespace = [roleKind, roleBindingKind] as unknown as [AnyKind, AnyKind];

/** What the plugin's other parts may do beyond the components in whose processes they run. A host reads no Secret but the copies. */
const rights: [AnyKind, object][] = [
  ...granted(
    clusterWide,
    nodeRole,
    undefined,
    [{ apiGroups, resources: ['ingresses', 'ingressclasses'], verbs: read }],
    'system:kube-proxy',
  ),
  ...granted(
    inNamespace,
    nodeRole,
    ingressNamespace,
    [
      { apiGroups: [''], resources: ['configmaps'], resourceNames: [ingressName], verbs: read },
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: [...certificateSecrets, defaultCertificateSecret],
        verbs: read,
      },
    ],
    'system:kube-proxy',
  ),
  ...granted(
    clusterWide,
    controllerRole,
    undefined,
    [
      { apiGroups, resources: ['ingresses', 'ingressclasses'], verbs: read },
      { apiGroups, resources: ['ingresses/status'], verbs: ['update', 'patch'] },
      { apiGroups: [''], resources: ['secrets'], verbs: read },
      { apiGroups: [addressPoolKind.group], resources: [addressPoolKind.plural], verbs: ['list'] },
    ],
    'system:kube-controller-manager',
  ),
  ...granted(
    inNamespace,
    controllerRole,
    ingressNamespace,
    [{ apiGroups: [''], resources: ['services', 'secrets'], verbs: ['create', 'update'] }],
    'system:kube-controller-manager',
  ),
];

/** The Service, the class and the default certificate, before anybody makes an Ingress. */
export default {
  name: 'ingress',
  async start(context: ApiPartContext) {
    for (const [kind, object] of rights) await ensureObject(context, kind, object as AnyObject);
    await ensureObject(context, serviceKind as AnyKind, ingressService() as unknown as AnyObject, []);
    await ensureObject(
      context,
      ingressClassKind as AnyKind,
      {
        metadata: { name: className, annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } },
        spec: { controller: controllerName },
      } as unknown as AnyObject,
      [],
    );
    const { reader, cluster } = context;
    if (!cluster?.selfSigned || reader.get(secretKind as AnyKind, ingressNamespace, defaultCertificateSecret)) return;
    const { cert, key } = await cluster.selfSigned('ingress.invalid');
    const data = { 'tls.crt': Buffer.from(cert).toString('base64'), 'tls.key': Buffer.from(key).toString('base64') };
    const secret = {
      metadata: { name: defaultCertificateSecret, namespace: ingressNamespace },
      type: 'kubernetes.io/tls',
      data,
    };
    await ensureObject(context, secretKind as AnyKind, secret as unknown as AnyObject, []);
  },
} satisfies ApiPart;
