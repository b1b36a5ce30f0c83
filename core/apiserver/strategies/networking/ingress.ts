import { fieldErrors, type Ingress, type IngressBackend, ingressKind, type KubeObject } from '#api';
import { ageColumn, column, nameColumn } from '../rules/columns.ts';
import { dnsLabel, dnsSubdomain, portName, wildcardSubdomain } from '../rules/names.ts';
import { plainStrategy } from '../rules/plain.ts';
import { checkName, checkOneOf, checkPort, isIp, type Mistakes } from '../rules/values.ts';
import { checkReference } from './reference.ts';

type IngressObject = Ingress & KubeObject;
const classAnnotation = 'kubernetes.io/ingress.class';
const badSequences = ['//', '/./', '/../', '%2f', '%2F'];
const badSuffixes = ['/..', '/.'];
const addressWidthMax = 16;

const checkHost = (mistakes: Mistakes, field: string, host: string): void =>
  checkName(mistakes, field, host, host.includes('*') ? wildcardSubdomain : dnsSubdomain);

function checkBackend(mistakes: Mistakes, at: string, backend: Readonly<IngressBackend> | undefined): void {
  const { resource, service } = backend ?? {};
  const wrong = (why: string) => mistakes.push(fieldErrors.invalid(at, '', why));
  if (resource && service) wrong('cannot set both resource and service backends');
  else if (resource) checkReference(mistakes, `${at}.resource`, resource);
  else if (service) {
    if (!service.name) mistakes.push(fieldErrors.required(`${at}.service.name`));
    else checkName(mistakes, `${at}.service.name`, service.name, dnsLabel);
    const { name, number } = service.port ?? {};
    if (name && number) wrong('cannot set both port name & port number');
    else if (name) checkName(mistakes, `${at}.service.port.name`, name, portName);
    else if (number) checkPort(mistakes, `${at}.service.port.number`, number);
    else mistakes.push(fieldErrors.required(at, 'port name or number is required'));
  } else wrong('resource or service backend is required');
}

function checkPath(
  mistakes: Mistakes,
  at: string,
  path: { path?: string; pathType?: string; backend?: IngressBackend },
): void {
  if (path.pathType === undefined) {
    mistakes.push(fieldErrors.required(`${at}.pathType`, 'pathType must be specified'));
    return;
  }
  const text = path.path ?? '';
  const wrong = (why: string) => mistakes.push(fieldErrors.invalid(`${at}.path`, text, why));
  if (path.pathType === 'Exact' || path.pathType === 'Prefix') {
    if (!text.startsWith('/')) wrong('must be an absolute path');
    for (const sequence of badSequences) if (text.includes(sequence)) wrong(`must not contain '${sequence}'`);
    for (const suffix of badSuffixes) if (text.endsWith(suffix)) wrong(`cannot end with '${suffix}'`);
  } else if (path.pathType === 'ImplementationSpecific') {
    if (text && !text.startsWith('/')) wrong('must be an absolute path');
  } else checkOneOf(mistakes, `${at}.pathType`, path.pathType, ['Exact', 'ImplementationSpecific', 'Prefix']);
  checkBackend(mistakes, `${at}.backend`, path.backend);
}

function checkSpec(mistakes: Mistakes, { spec = {} }: Readonly<IngressObject>): void {
  if (!spec.rules?.length && !spec.defaultBackend)
    mistakes.push(
      fieldErrors.invalid('spec', spec.rules ?? null, 'either `defaultBackend` or `rules` must be specified'),
    );
  if (spec.defaultBackend) checkBackend(mistakes, 'spec.defaultBackend', spec.defaultBackend);
  for (const [index, rule] of (spec.rules ?? []).entries()) {
    const at = `spec.rules[${index}]`;
    if (rule.host) {
      if (isIp(rule.host))
        mistakes.push(fieldErrors.invalid(`${at}.host`, rule.host, 'must be a DNS name, not an IP address'));
      checkHost(mistakes, `${at}.host`, rule.host);
    }
    if (!rule.http) continue;
    if (!rule.http.paths?.length) mistakes.push(fieldErrors.required(`${at}.http.paths`));
    for (const [inner, path] of (rule.http.paths ?? []).entries())
      checkPath(mistakes, `${at}.http.paths[${inner}]`, path);
  }
  for (const [index, tls] of (spec.tls ?? []).entries()) {
    for (const [inner, host] of (tls.hosts ?? []).entries())
      checkHost(mistakes, `spec.tls[${index}].hosts[${inner}]`, host);
    if (tls.secretName) checkName(mistakes, `spec.tls[${index}].secretName`, tls.secretName, dnsSubdomain);
  }
  if (spec.ingressClassName !== undefined)
    checkName(mistakes, 'spec.ingressClassName', spec.ingressClassName, dnsSubdomain);
}

function checkStatus(mistakes: Mistakes, { status }: Readonly<IngressObject>): void {
  for (const [index, { ip, hostname }] of (status?.loadBalancer?.ingress ?? []).entries()) {
    const at = `status.loadBalancer.ingress[${index}]`;
    if (ip && !isIp(ip))
      mistakes.push(
        fieldErrors.invalid(`${at}.ip`, ip, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'),
      );
    if (!hostname) continue;
    checkName(mistakes, `${at}.hostname`, hostname, dnsSubdomain);
    if (isIp(hostname))
      mistakes.push(fieldErrors.invalid(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'));
  }
}

const hostsShownMax = 3;
function hostsText({ spec }: Readonly<IngressObject>): string {
  const hosts = (spec?.rules ?? []).map((rule) => rule.host ?? '').filter(Boolean);
  if (hosts.length === 0) return '*';
  const text = hosts.slice(0, hostsShownMax).join(',');
  return hosts.length > hostsShownMax ? `${text} + ${hosts.length - hostsShownMax} more...` : text;
}
function addressText({ status }: Readonly<IngressObject>): string {
  const points = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || '').filter(Boolean);
  const text = [...new Set(points)].sort().join(',');
  return text.length > addressWidthMax ? `${text.slice(0, addressWidthMax - 3)}...` : text;
}

export const ingressStrategy = plainStrategy<IngressObject>({
  kind: ingressKind,
  subresources: ['status'],
  generation: true,
  create(draft) {
    draft.status = { loadBalancer: {} };
  },
  check(mistakes, next, current, subresource) {
    if (subresource === 'status') {
      checkStatus(mistakes, next);
      return;
    }
    checkSpec(mistakes, next);
    const annotated = next.metadata.annotations?.[classAnnotation];
    const named = next.spec?.ingressClassName;
    if (!current && annotated !== undefined && named !== undefined && annotated !== named)
      mistakes.push(
        fieldErrors.invalid(
          `annotations.${classAnnotation}`,
          annotated,
          'must match `ingressClassName` when both are specified',
        ),
      );
  },
  warnings: (next, current) =>
    !current && next.metadata.annotations?.[classAnnotation] !== undefined
      ? [`annotation "${classAnnotation}" is deprecated, please use 'spec.ingressClassName' instead`]
      : [],
  columns: [
    nameColumn,
    column('Class', 'The class that serves it.', (ingress) => ingress.spec?.ingressClassName ?? '<none>'),
    column('Hosts', 'The first three host names.', hostsText),
    column('Address', 'Where it is served.', addressText),
    column('Ports', '80, and 443 with TLS.', (ingress) => (ingress.spec?.tls?.length ? '80, 443' : '80')),
    ageColumn,
  ],
});
