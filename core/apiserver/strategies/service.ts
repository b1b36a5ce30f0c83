import { type KubeObject, type Service, type ServicePort, type ServiceSpec, serviceKind } from '#api';
import type { Strategy } from '#sdk';
import { ageColumn, column, labelsText, nameColumn, wide } from './rules/columns.ts';
import { splitStatus } from './rules/lifecycle.ts';
import { checkMetadata } from './rules/metadata.ts';
import { dnsLabel } from './rules/names.ts';
import { checkAddressChange, checkFamilyChange } from './service/address-fields.ts';
import { dropUnused } from './service/change.ts';
import { checkLoadBalancerStatus, checkService, checkServiceChange, serviceWarnings } from './service/validate.ts';

type ServiceObject = Service & KubeObject;

function externalText(service: Readonly<Service>): string {
  const spec = service.spec ?? {};
  const own = spec.externalIPs ?? [];
  switch (spec.type) {
    case 'ClusterIP':
    case 'NodePort':
      return own.join(',') || '<none>';
    case 'LoadBalancer': {
      const ingress = (service.status?.loadBalancer?.ingress ?? []).map((entry) => entry.ip || entry.hostname || '');
      return [...ingress.filter(Boolean), ...own].join(',') || '<pending>';
    }
    case 'ExternalName':
      return spec.externalName ?? '';
    default:
      return '<unknown>';
  }
}
const portText = (port: Readonly<ServicePort>): string =>
  `${port.port}${port.nodePort ? `:${port.nodePort}` : ''}/${port.protocol ?? 'TCP'}`;

function defaultSpec(spec: ServiceSpec): void {
  spec.sessionAffinity ??= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP' && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined)
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: 10800 } };
  spec.type ??= 'ClusterIP';
  for (const port of spec.ports ?? []) {
    port.protocol ??= 'TCP';
    if (!port.targetPort) port.targetPort = port.port;
  }
  const external = spec.type === 'NodePort' || spec.type === 'LoadBalancer' || Boolean(spec.externalIPs?.length);
  if (external && spec.type !== 'ExternalName') spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
}
/** Upstream takes it and shows it to nobody. */
function dropTrafficOfNames(spec: ServiceSpec): void {
  if (spec.type === 'ExternalName') delete spec.internalTrafficPolicy;
}
function defaultStatus({ spec, status }: ServiceObject): void {
  if (spec?.type !== 'LoadBalancer') return;
  for (const ingress of status?.loadBalancer?.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
}
export const serviceStrategy: Strategy<ServiceObject> = {
  kind: serviceKind,
  answersDeleted: true,
  createdByUpdate: true,
  subresources: ['status', 'proxy'],
  defaults(service) {
    defaultSpec((service.spec ??= {}));
    defaultStatus(service);
  },
  prepareForCreate(service) {
    service.status = { loadBalancer: {} };
    dropTrafficOfNames(service.spec!);
  },
  prepareForUpdate(next, current, request) {
    splitStatus(next, current, request.subresource);
    if (request.subresource === 'status') return;
    dropUnused(next.spec!, current.spec ?? {});
    dropTrafficOfNames(next.spec!);
    if (next.spec!.type !== 'LoadBalancer' && next.status?.loadBalancer?.ingress)
      next.status = { ...next.status, loadBalancer: {} };
  },
  validate(next, current, subresource) {
    const mistakes = checkMetadata(next, current, dnsLabel);
    if (current && subresource === 'status') checkLoadBalancerStatus(mistakes, next, current);
    if (subresource === 'status') return mistakes;
    if (current) {
      const [spec, old] = [next.spec ?? {}, current.spec ?? {}];
      mistakes.push(...checkAddressChange(spec, old), ...checkFamilyChange(spec, old));
      checkServiceChange(mistakes, spec, old);
    }
    checkService(mistakes, next, current);
    return mistakes;
  },
  warnings: serviceWarnings,
  selectableFields: (service) => ({
    'spec.clusterIP': service.spec?.clusterIP ?? '',
    'spec.type': service.spec?.type ?? '',
  }),
  columns: [
    nameColumn,
    column('Type', 'How it can be reached.', (service) => service.spec?.type ?? ''),
    column('Cluster-IP', 'Its virtual address.', (service) => service.spec?.clusterIPs?.[0] ?? '<none>'),
    column('External-IP', 'Addresses from outside.', externalText),
    column(
      'Port(s)',
      'Ports, with node ports behind the colon.',
      (service) => (service.spec?.ports ?? []).map(portText).join(',') || '<none>',
    ),
    ageColumn,
    wide('Selector', 'Labels of the pods behind it.', (service) => labelsText(service.spec?.selector)),
  ],
};
