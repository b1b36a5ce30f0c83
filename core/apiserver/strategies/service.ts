import { fieldErrors, type KubeObject, type Service, type ServicePort, type ServiceSpec, serviceKind } from '#api';
import type { Strategy } from '#sdk';
import { checkPortOrName } from './pod/probes.ts';
import { checkEndpointIp } from './rules/addresses.ts';
import { ageColumn, column, labelsText, nameColumn, wide } from './rules/columns.ts';
import { splitStatus } from './rules/lifecycle.ts';
import { checkLabels, checkMetadata } from './rules/metadata.ts';
import { dnsLabel, dnsSubdomain } from './rules/names.ts';
import { checkIp, checkName, checkOneOf, checkPort, type Mistakes, sameJson } from './rules/values.ts';

type ServiceObject = Service & KubeObject;
const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const affinitySecondsMax = 86400;

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
  if (external) spec.externalTrafficPolicy ??= 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
}
/** `clusterIP` is the first of `clusterIPs`; a client may know only one of them. */
function alignAddresses(next: ServiceSpec, current?: Readonly<ServiceSpec>): void {
  if (!current) {
    if (next.clusterIP && !next.clusterIPs?.length) next.clusterIPs = [next.clusterIP];
    else if (!next.clusterIP && next.clusterIPs?.length) next.clusterIP = next.clusterIPs[0];
    return;
  }
  const changed = next.clusterIP !== current.clusterIP;
  const listChanged = !sameJson(next.clusterIPs, current.clusterIPs);
  if (changed && !listChanged) {
    if (next.clusterIP) next.clusterIPs = [next.clusterIP];
    else delete next.clusterIPs;
  } else if (listChanged && !changed) {
    if (next.clusterIPs?.length) next.clusterIP = next.clusterIPs[0];
    else delete next.clusterIP;
  }
}
/** What is allocated once stays although a client that never saw it sends the object without it. */
function keepAllocated(next: ServiceSpec, current: Readonly<ServiceSpec>): void {
  const hasAddress = (spec: Readonly<ServiceSpec>): boolean => spec.type !== 'ExternalName';
  if (!hasAddress(next) || !hasAddress(current)) return;
  if (!next.clusterIP && !next.clusterIPs?.length && current.clusterIP !== 'None') {
    next.clusterIP = current.clusterIP;
    next.clusterIPs = current.clusterIPs;
  }
  next.ipFamilies ??= current.ipFamilies;
  next.ipFamilyPolicy ??= current.ipFamilyPolicy;
  if (!usesNodePorts(next) || !usesNodePorts(current)) return;
  for (const port of next.ports ?? []) {
    const old = current.ports?.find((entry) => entry.port === port.port && entry.protocol === port.protocol);
    if (
      !port.nodePort &&
      old?.nodePort &&
      !next.ports!.some((entry) => entry.nodePort === old.nodePort && entry.protocol === port.protocol)
    )
      port.nodePort = old.nodePort;
  }
}
const usesNodePorts = (spec: Readonly<ServiceSpec>): boolean =>
  spec.type === 'NodePort' || spec.type === 'LoadBalancer';
/** A change of type gives back what the new type does not have. */
function dropUnused(next: ServiceSpec, current?: Readonly<ServiceSpec>): void {
  if (
    current &&
    next.type === 'ExternalName' &&
    current.type !== 'ExternalName' &&
    sameJson(next.clusterIPs, current.clusterIPs)
  ) {
    for (const name of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy'] as const) delete next[name];
  }
  if (current && usesNodePorts(current) && !usesNodePorts(next)) {
    const had = new Set(current.ports?.map((port) => port.nodePort));
    for (const port of next.ports ?? []) if (had.has(port.nodePort)) delete port.nodePort;
    if (next.externalTrafficPolicy === current.externalTrafficPolicy && !next.externalIPs?.length)
      delete next.externalTrafficPolicy;
  }
}

function checkPorts(mistakes: Mistakes, spec: Readonly<ServiceSpec>): void {
  const ports = spec.ports ?? [];
  const headless = spec.clusterIP === 'None';
  if (ports.length === 0 && !headless && spec.type !== 'ExternalName')
    mistakes.push(fieldErrors.required('spec.ports'));
  const names = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const at = `spec.ports[${index}]`;
    if (!port.name) {
      if (ports.length > 1) mistakes.push(fieldErrors.required(`${at}.name`));
    } else {
      checkName(mistakes, `${at}.name`, port.name, dnsLabel);
      if (names.has(port.name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, port.name));
      names.add(port.name);
    }
    checkPort(mistakes, `${at}.port`, port.port);
    checkOneOf(mistakes, `${at}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']);
    checkPortOrName(mistakes, `${at}.targetPort`, port.targetPort ?? port.port);
    if (port.nodePort && !usesNodePorts(spec))
      mistakes.push(fieldErrors.forbidden(`${at}.nodePort`, `may not be used when \`type\` is '${spec.type}'`));
  }
  checkOneOf(mistakes, 'spec.type', spec.type, types);
  const seen = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const pair = `${port.port}/${port.protocol}`;
    if (seen.has(pair))
      mistakes.push(
        fieldErrors.duplicate(`spec.ports[${index}]`, {
          Name: '',
          Protocol: port.protocol,
          AppProtocol: null,
          Port: port.port,
          TargetPort: 0,
          NodePort: 0,
        }),
      );
    seen.add(pair);
  }
}

function checkAddresses(mistakes: Mistakes, spec: Readonly<ServiceSpec>): void {
  if (spec.type === 'ExternalName') {
    if (!spec.externalName) mistakes.push(fieldErrors.required('spec.externalName'));
    else checkName(mistakes, 'spec.externalName', spec.externalName.replace(/\.$/, ''), dnsSubdomain);
    if (spec.clusterIPs?.length)
      mistakes.push(fieldErrors.forbidden('spec.clusterIPs', "may not be set when `type` is 'ExternalName'"));
    return;
  }
  for (const [index, ip] of (spec.clusterIPs ?? []).entries()) {
    const at = `spec.clusterIPs[${index}]`;
    if (ip === 'None') {
      if (index > 0)
        mistakes.push(fieldErrors.invalid(at, ip, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'));
      else if (spec.type !== 'ClusterIP')
        mistakes.push(fieldErrors.invalid(at, ip, `may not be set to 'None' for ${spec.type} services`));
    } else checkIp(mistakes, at, ip);
  }
  if (spec.clusterIPs?.length && spec.clusterIP !== spec.clusterIPs[0])
    mistakes.push(fieldErrors.invalid('spec.clusterIPs', spec.clusterIPs, 'first value must match `clusterIP`'));
  for (const [index, ip] of (spec.externalIPs ?? []).entries())
    checkEndpointIp(mistakes, `spec.externalIPs[${index}]`, ip);
}

function checkSpec(mistakes: Mistakes, spec: Readonly<ServiceSpec>): void {
  checkPorts(mistakes, spec);
  checkLabels(mistakes, spec.selector, 'spec.selector');
  checkOneOf(mistakes, 'spec.sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None']);
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds;
  if (seconds !== undefined && (seconds <= 0 || seconds > affinitySecondsMax))
    mistakes.push(
      fieldErrors.invalid(
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
        seconds,
        `must be greater than 0 and less than ${affinitySecondsMax}`,
      ),
    );
  checkAddresses(mistakes, spec);
  for (const [index, family] of (spec.ipFamilies ?? []).entries()) {
    checkOneOf(mistakes, `spec.ipFamilies[${index}]`, family, ['IPv4', 'IPv6']);
    if (spec.ipFamilies!.indexOf(family) !== index)
      mistakes.push(fieldErrors.duplicate(`spec.ipFamilies[${index}]`, family));
  }
  checkOneOf(mistakes, 'spec.ipFamilyPolicy', spec.ipFamilyPolicy, [
    'PreferDualStack',
    'RequireDualStack',
    'SingleStack',
  ]);
  checkOneOf(mistakes, 'spec.externalTrafficPolicy', spec.externalTrafficPolicy, ['Cluster', 'Local']);
  checkOneOf(mistakes, 'spec.internalTrafficPolicy', spec.internalTrafficPolicy, ['Cluster', 'Local']);
  const external = usesNodePorts(spec) || Boolean(spec.externalIPs?.length);
  if (spec.externalTrafficPolicy && !external)
    mistakes.push(
      fieldErrors.invalid(
        'spec.externalTrafficPolicy',
        spec.externalTrafficPolicy,
        'may only be set for externally-accessible services',
      ),
    );
}

export const serviceStrategy: Strategy<ServiceObject> = {
  kind: serviceKind,
  answersDeleted: true,
  createdByUpdate: true,
  subresources: ['status', 'proxy'],
  defaults(service) {
    defaultSpec((service.spec ??= {}));
  },
  prepareForCreate(service) {
    service.status = { loadBalancer: {} };
    const spec = service.spec!;
    alignAddresses(spec);
    if (spec.type === 'ExternalName') return;
    // One family for now: the address range of the cluster is IPv4.
    spec.ipFamilyPolicy ??= 'SingleStack';
    spec.ipFamilies ??= ['IPv4'];
  },
  prepareForUpdate(next, current, request) {
    splitStatus(next, current, request.subresource);
    if (request.subresource === 'status') return;
    const [spec, before] = [next.spec!, current.spec ?? {}];
    dropUnused(spec, before);
    keepAllocated(spec, before);
    alignAddresses(spec, before);
  },
  validate(next, current) {
    const mistakes = checkMetadata(next, current, dnsLabel);
    const spec = next.spec ?? {};
    checkSpec(mistakes, spec);
    const had = current?.spec;
    const fixed = had && had.type !== 'ExternalName' && spec.type !== 'ExternalName' && had.clusterIPs?.length;
    if (fixed && had.clusterIPs![0] !== spec.clusterIPs?.[0])
      mistakes.push(fieldErrors.invalid('spec.clusterIPs[0]', spec.clusterIPs ?? null, 'may not change once set'));
    return mistakes;
  },
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
