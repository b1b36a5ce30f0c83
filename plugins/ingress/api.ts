import {
  type AnyKind,
  type AnyObject,
  type ApiPart,
  type ApiPartContext,
  ensureObject,
  ensureRights,
  ingressClassKind,
  type Rights,
  secretKind,
  serviceKind,
  userSubject,
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

const nodeRole = 'system:pintle:ingress';
const controllerRole = 'system:pintle:ingress-controller';
const proxy = userSubject('system:kube-proxy');
const controllers = userSubject('system:kube-controller-manager');
const read = ['get', 'list', 'watch'];
const apiGroups = ['networking.k8s.io'];

/** What the plugin's other parts may do beyond the components in whose processes they run. A host reads no Secret but the copies. */
const rights: readonly Rights[] = [
  { name: nodeRole, rules: [{ apiGroups, resources: ['ingresses', 'ingressclasses'], verbs: read }], subject: proxy },
  {
    name: nodeRole,
    namespace: ingressNamespace,
    rules: [
      { apiGroups: [''], resources: ['configmaps'], resourceNames: [ingressName], verbs: read },
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: [...certificateSecrets, defaultCertificateSecret],
        verbs: read,
      },
    ],
    subject: proxy,
  },
  {
    name: controllerRole,
    rules: [
      { apiGroups, resources: ['ingresses', 'ingressclasses'], verbs: read },
      { apiGroups, resources: ['ingresses/status'], verbs: ['update', 'patch'] },
      { apiGroups: [''], resources: ['secrets'], verbs: read },
      { apiGroups: [addressPoolKind.group], resources: [addressPoolKind.plural], verbs: ['list'] },
    ],
    subject: controllers,
  },
  {
    name: controllerRole,
    namespace: ingressNamespace,
    rules: [{ apiGroups: [''], resources: ['services', 'secrets'], verbs: ['create', 'update'] }],
    subject: controllers,
  },
];

/** The Service, the class and the default certificate, before anybody makes an Ingress. */
export default {
  name: 'ingress',
  async start(context: ApiPartContext) {
    await ensureRights(context, rights);
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
