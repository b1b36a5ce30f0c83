import { fieldErrors, type KubeObject, type Service, type ServicePort, type ServiceSpec } from '#api';
import { checkPortOrName } from '../pod/probes.ts';
import { checkCidr, checkEndpointIp, checkLegacyIp, ipWarnings } from '../rules/addresses.ts';
import { checkLabels } from '../rules/metadata.ts';
import { dnsLabel, dnsSubdomain, qualifiedName } from '../rules/names.ts';
import { checkName, checkOneOf, checkOneOfUnsorted, checkPort, type Mistakes } from '../rules/values.ts';
import { checkAddressFields, isHeadless } from './address-fields.ts';
import { isReachable, needsHealthCheck } from './change.ts';

type Spec = Readonly<ServiceSpec>;
type TheService = Readonly<Service & KubeObject>;
const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const affinitySecondsMax = 86400;
const rangesAnnotation = 'service.beta.kubernetes.io/load-balancer-source-ranges';
const hintsAnnotation = 'service.kubernetes.io/topology-aware-hints';
const modeAnnotation = 'service.kubernetes.io/topology-mode';
const onlyLoadBalancer = "may only be used when `type` is 'LoadBalancer'";
const preferClose = 'PreferClose';
const distributions = [preferClose, 'PreferSameZone', 'PreferSameNode'];

/** Everything but metadata, in upstream's order. `old` is absent for a creation. */
export function checkService(mistakes: Mistakes, service: TheService, old?: TheService): void {
  const spec = service.spec ?? {};
  const { annotations = {} } = service.metadata;
  const [hints, mode] = [annotations[hintsAnnotation], annotations[modeAnnotation]];
  if (hints !== undefined && mode !== undefined && hints !== mode)
    mistakes.push(
      fieldErrors.invalid(
        `metadata.annotations[${modeAnnotation}]`,
        mode,
        `must match annotations[${hintsAnnotation}] when both are specified`,
      ),
    );
  checkType(mistakes, spec);
  const names = new Set<string>();
  for (const [index, port] of (spec.ports ?? []).entries())
    checkServicePort(mistakes, `spec.ports[${index}]`, port, (spec.ports?.length ?? 0) > 1, names);
  checkLabels(mistakes, spec.selector, 'spec.selector');
  checkAffinity(mistakes, spec);
  mistakes.push(...checkAddressFields(spec, old?.spec));
  for (const [index, ip] of (spec.externalIPs ?? []).entries()) {
    const at = `spec.externalIPs[${index}]`;
    if (old?.spec?.externalIPs?.includes(ip) || checkLegacyIp(mistakes, at, ip)) checkEndpointIp(mistakes, at, ip);
  }
  checkOneOf(mistakes, 'spec.type', spec.type, types);
  checkNumbers(mistakes, spec);
  checkSourceRanges(mistakes, service, old);
  if (spec.allocateLoadBalancerNodePorts !== undefined && spec.type !== 'LoadBalancer')
    mistakes.push(fieldErrors.forbidden('spec.allocateLoadBalancerNodePorts', onlyLoadBalancer));
  checkClass(mistakes, spec);
  checkTraffic(mistakes, spec);
}

function checkType(mistakes: Mistakes, spec: Spec): void {
  const { type } = spec;
  if (!spec.ports?.length && !isHeadless(spec) && type !== 'ExternalName')
    mistakes.push(fieldErrors.required('spec.ports'));
  if ((type === 'LoadBalancer' || type === 'NodePort') && isHeadless(spec))
    mistakes.push(fieldErrors.invalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${type} services`));
  if (type !== 'ExternalName') return;
  const forbidden = 'may not be set for ExternalName services';
  if (spec.clusterIPs?.length) mistakes.push(fieldErrors.forbidden('spec.clusterIPs', forbidden));
  if (spec.ipFamilies?.length) mistakes.push(fieldErrors.forbidden('spec.ipFamilies', forbidden));
  if (spec.ipFamilyPolicy !== undefined) mistakes.push(fieldErrors.forbidden('spec.ipFamilyPolicy', forbidden));
  const target = (spec.externalName ?? '').replace(/\.$/, '');
  if (!target) mistakes.push(fieldErrors.required('spec.externalName'));
  else checkName(mistakes, 'spec.externalName', target, dnsSubdomain);
}

function checkServicePort(
  mistakes: Mistakes,
  at: string,
  port: Readonly<ServicePort>,
  isNamed: boolean,
  names: Set<string>,
): void {
  if (!port.name) {
    if (isNamed) mistakes.push(fieldErrors.required(`${at}.name`));
  } else {
    checkName(mistakes, `${at}.name`, port.name, dnsLabel);
    if (names.has(port.name)) mistakes.push(fieldErrors.duplicate(`${at}.name`, port.name));
    names.add(port.name);
  }
  checkPort(mistakes, `${at}.port`, port.port);
  checkOneOf(mistakes, `${at}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']);
  checkPortOrName(mistakes, `${at}.targetPort`, port.targetPort ?? port.port);
  if (port.appProtocol !== undefined) checkName(mistakes, `${at}.appProtocol`, port.appProtocol, qualifiedName);
}

function checkAffinity(mistakes: Mistakes, spec: Spec): void {
  checkOneOf(mistakes, 'spec.sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None']);
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds;
  if (spec.sessionAffinity === 'ClientIP' && seconds !== undefined && (seconds <= 0 || seconds > affinitySecondsMax))
    mistakes.push(
      fieldErrors.invalid(
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
        seconds,
        `must be greater than 0 and less than ${affinitySecondsMax}`,
      ),
    );
}

function checkNumbers(mistakes: Mistakes, { type, ports = [] }: Spec): void {
  const [nodePorts, pairs] = [new Set<string>(), new Set<string>()];
  if (type === 'ClusterIP')
    for (const [index, port] of ports.entries())
      if (port.nodePort)
        mistakes.push(
          fieldErrors.forbidden(`spec.ports[${index}].nodePort`, "may not be used when `type` is 'ClusterIP'"),
        );
  for (const [index, { nodePort, protocol }] of ports.entries()) {
    if (!nodePort) continue;
    if (nodePorts.has(`${nodePort}/${protocol}`))
      mistakes.push(fieldErrors.duplicate(`spec.ports[${index}].nodePort`, nodePort));
    nodePorts.add(`${nodePort}/${protocol}`);
  }
  for (const [index, { port, protocol }] of ports.entries()) {
    const shown = { Name: '', Protocol: protocol, AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 };
    if (pairs.has(`${port}/${protocol}`)) mistakes.push(fieldErrors.duplicate(`spec.ports[${index}]`, shown));
    pairs.add(`${port}/${protocol}`);
  }
}

/** The field, or the annotation that came before it. Upstream names the field so. */
function checkSourceRanges(mistakes: Mistakes, service: TheService, old?: TheService): void {
  const { type, loadBalancerSourceRanges: ranges = [] } = service.spec ?? {};
  const annotation = service.metadata.annotations?.[rangesAnnotation];
  const at = ranges.length > 0 ? 'spec.LoadBalancerSourceRanges' : `metadata.annotations[${rangesAnnotation}]`;
  if (ranges.length === 0 && annotation === undefined) return;
  if (type !== 'LoadBalancer') mistakes.push(fieldErrors.forbidden(at, onlyLoadBalancer));
  const known = new Set((old?.spec?.loadBalancerSourceRanges ?? []).map((text) => text.trim()));
  for (const [index, text] of ranges.entries())
    if (!known.has(text.trim())) checkCidr(mistakes, `${at}[${index}]`, text.trim());
  const isOld = old?.metadata.annotations?.[rangesAnnotation] === annotation;
  if (ranges.length > 0 || isOld || !annotation?.trim()) return;
  for (const text of annotation.split(',')) checkCidr(mistakes, at, text.trim());
}

function checkClass(mistakes: Mistakes, { type, loadBalancerClass }: Spec): void {
  if (loadBalancerClass === undefined) return;
  if (type === 'LoadBalancer') checkName(mistakes, 'spec.loadBalancerClass', loadBalancerClass, qualifiedName);
  else mistakes.push(fieldErrors.forbidden('spec.loadBalancerClass', onlyLoadBalancer));
}

function checkTraffic(mistakes: Mistakes, spec: Spec): void {
  const { externalTrafficPolicy, healthCheckNodePort } = spec;
  const external = 'spec.externalTrafficPolicy';
  if (isReachable(spec)) checkOneOf(mistakes, external, externalTrafficPolicy, ['Cluster', 'Local']);
  else if (externalTrafficPolicy)
    mistakes.push(
      fieldErrors.invalid(external, externalTrafficPolicy, 'may only be set for externally-accessible services'),
    );
  if (needsHealthCheck(spec)) {
    if (!healthCheckNodePort) mistakes.push(fieldErrors.required('spec.healthCheckNodePort'));
    else checkPort(mistakes, 'spec.healthCheckNodePort', healthCheckNodePort);
  } else if (healthCheckNodePort)
    mistakes.push(
      fieldErrors.invalid(
        'spec.healthCheckNodePort',
        healthCheckNodePort,
        "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
      ),
    );
  checkOneOf(mistakes, 'spec.internalTrafficPolicy', spec.internalTrafficPolicy, ['Cluster', 'Local']);
  checkOneOfUnsorted(mistakes, 'spec.trafficDistribution', spec.trafficDistribution, distributions);
}

/** What only a change can do wrong; upstream looks at the class and the health check here. */
export function checkServiceChange(mistakes: Mistakes, next: Spec, old: Spec): void {
  if (next.type === 'LoadBalancer' && old.type === 'LoadBalancer' && next.loadBalancerClass !== old.loadBalancerClass)
    mistakes.push(
      fieldErrors.invalid('spec.loadBalancerClass', next.loadBalancerClass ?? null, 'may not change once set'),
    );
  checkClass(mistakes, next); // upstream asks this twice
  if (needsHealthCheck(next) && needsHealthCheck(old) && next.healthCheckNodePort !== old.healthCheckNodePort)
    mistakes.push(fieldErrors.forbidden('spec.healthCheckNodePort', 'field is immutable'));
}

export function checkLoadBalancerStatus(mistakes: Mistakes, next: TheService, old: TheService): void {
  const ingress = next.status?.loadBalancer?.ingress ?? [];
  const at = 'status.loadBalancer.ingress';
  if (next.spec?.type !== 'LoadBalancer') {
    if (ingress.length > 0)
      mistakes.push(fieldErrors.forbidden(at, "may only be used when `spec.type` is 'LoadBalancer'"));
    return;
  }
  const known = new Set((old.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip));
  for (const [index, { ip, ipMode, hostname }] of ingress.entries()) {
    const here = `${at}[${index}]`;
    if (ip && !known.has(ip)) checkLegacyIp(mistakes, `${here}.ip`, ip);
    if (ipMode === undefined) {
      if (ip) mistakes.push(fieldErrors.required(`${here}.ipMode`, 'must be specified when `ip` is set'));
    } else if (!ip) mistakes.push(fieldErrors.forbidden(`${here}.ipMode`, 'may not be specified when `ip` is not set'));
    else checkOneOf(mistakes, `${here}.ipMode`, ipMode, ['Proxy', 'VIP']);
    if (!hostname) continue;
    checkName(mistakes, `${here}.hostname`, hostname, dnsSubdomain);
    if (/^[\d.]+$/.test(hostname) && checkLegacyIp([], here, hostname))
      mistakes.push(fieldErrors.invalid(`${here}.hostname`, hostname, 'must be a DNS name, not an IP address'));
  }
}

/** What upstream warns of; the clients show it to people. */
export function serviceWarnings(next: TheService, old?: TheService): string[] {
  const spec = next.spec ?? {};
  const warnings: string[] = [];
  const isNone = spec.type === 'ClusterIP' && spec.clusterIP === 'None';
  const isName = spec.type === 'ExternalName';
  if (next.metadata.annotations?.[hintsAnnotation] !== undefined)
    warnings.push(`annotation ${hintsAnnotation} is deprecated, please use ${modeAnnotation} instead`);
  const ips = (field: string, list: readonly string[] = []) =>
    list.flatMap((ip, index) => ipWarnings(`spec.${field}[${index}]`, ip));
  if (spec.clusterIP && spec.clusterIP !== 'None') warnings.push(...ips('clusterIPs', spec.clusterIPs));
  const ignored = (field: string) => warnings.push(`spec.${field} is ignored for headless services`);
  if (isNone && spec.loadBalancerIP) ignored('loadBalancerIP');
  if (isNone && spec.externalIPs?.length) ignored('externalIPs');
  if (isNone && spec.sessionAffinity !== 'None') ignored('SessionAffinity');
  warnings.push(...ips('externalIPs', spec.externalIPs));
  if (spec.externalIPs?.length && !isNone && !isName)
    warnings.push('spec.externalIPs is deprecated and may no longer be implemented in some clusters');
  if (spec.loadBalancerIP) warnings.push(...ipWarnings('spec.loadBalancerIP', spec.loadBalancerIP));
  if (isName && spec.externalIPs?.length) warnings.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  if (!isName && spec.externalName) warnings.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  if (spec.trafficDistribution === preferClose)
    warnings.push(`spec.trafficDistribution: "${preferClose}" is deprecated; use "PreferSameZone"`);
  const shown = next.status?.loadBalancer?.ingress ?? [];
  if (old && shown !== old.status?.loadBalancer?.ingress)
    for (const [index, { ip }] of shown.entries())
      if (ip) warnings.push(...ipWarnings(`status.loadBalancer.ingress[${index}]`, ip));
  return warnings;
}
