import {
  fieldErrors,
  type IngressClass,
  type IPAddress,
  ingressClassKind,
  ipAddressKind,
  type KubeObject,
  type ServiceCIDR,
  serviceCidrKind,
} from '#api';
import { checkCidr, checkStrictIp, isIpv6 } from '../rules/addresses.ts';
import { ageColumn, column, nameColumn } from '../rules/columns.ts';
import { anyPathSegment } from '../rules/metadata.ts';
import { dnsLabel, dnsSubdomain } from '../rules/names.ts';
import { plainStrategy } from '../rules/plain.ts';
import { checkFixed, checkImmutable, checkName, checkOneOf, type Mistakes } from '../rules/values.ts';
import { checkReference } from './reference.ts';

const defaultAnnotation = 'ingressclass.kubernetes.io/is-default-class';
const controllerBytesMax = 250;

/** Such as `example.com/controller`. */
function checkDomainPath(mistakes: Mistakes, field: string, text: string): void {
  const slash = text.indexOf('/');
  if (text === '') mistakes.push(fieldErrors.required(field));
  else if (slash <= 0 || slash === text.length - 1)
    mistakes.push(fieldErrors.invalid(field, text, 'must be a domain-prefixed path (such as "acme.io/foo")'));
  else {
    checkName(mistakes, field, text.slice(0, slash), dnsSubdomain);
    const path = text.slice(slash + 1);
    const pattern = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
    if (!new RegExp(`^${pattern}$`).test(path))
      mistakes.push(fieldErrors.invalid(field, path, `Invalid path (regex used for validation is '${pattern}')`));
  }
}

export const ingressClassStrategy = plainStrategy<IngressClass & KubeObject>({
  kind: ingressClassKind,
  generation: true,
  defaults({ spec }) {
    if (spec?.parameters) spec.parameters.scope ??= 'Cluster';
  },
  check(mistakes, { spec = {} }, current, _part, late) {
    const { controller = '', parameters } = spec;
    if (current) checkImmutable(mistakes, 'spec.controller', controller, current.spec?.controller ?? '');
    if (controller.length > controllerBytesMax)
      mistakes.push(fieldErrors.tooLong('spec.controller', controllerBytesMax));
    checkDomainPath(mistakes, 'spec.controller', controller);
    if (!parameters) return;
    const at = 'spec.parameters';
    checkReference(mistakes, at, parameters, late);
    const { scope, namespace } = parameters;
    checkOneOf(mistakes, `${at}.scope`, scope, ['Cluster', 'Namespace']);
    if (scope === 'Namespace') {
      if (namespace === undefined)
        mistakes.push(fieldErrors.required(`${at}.namespace`, "`parameters.scope` is set to 'Namespace'"));
      else checkName(mistakes, `${at}.namespace`, namespace, dnsLabel);
    } else if (scope === 'Cluster' && namespace !== undefined)
      mistakes.push(fieldErrors.forbidden(`${at}.namespace`, "`parameters.scope` is set to 'Cluster'"));
  },
  columns: [
    {
      ...nameColumn,
      value: (object) =>
        `${object.metadata.name}${object.metadata.annotations?.[defaultAnnotation] === 'true' ? ' (default)' : ''}`,
    },
    column('Controller', 'Who serves it.', (c) => c.spec?.controller ?? ''),
    column('Parameters', 'More about it, in an object of its own.', ({ spec }) => {
      const parameters = spec?.parameters;
      if (!parameters) return '<none>';
      return `${parameters.kind}${parameters.apiGroup === undefined ? '' : `.${parameters.apiGroup}`}/${parameters.name}`;
    }),
    ageColumn,
  ],
});

export const ipAddressStrategy = plainStrategy<IPAddress & KubeObject>({
  kind: ipAddressKind,
  nameRule: (text) => {
    const mistakes: Mistakes = [];
    checkStrictIp(mistakes, '', text);
    return mistakes.map(({ message }) => message.replace(/^Invalid value: "[^"]*": /, ''));
  },
  check(mistakes, next, current) {
    const reference = next.spec?.parentRef;
    if (current) {
      if (!reference) mistakes.push(fieldErrors.required('spec.parentRef'));
      checkFixed(mistakes, 'spec.parentRef', reference, current.spec?.parentRef);
      return;
    }
    if (!reference) {
      mistakes.push(fieldErrors.required('spec.parentRef'));
      return;
    }
    const at = 'spec.parentRef';
    if (reference.group) checkName(mistakes, `${at}.group`, reference.group, dnsSubdomain);
    for (const name of ['resource', 'name'] as const)
      if (!reference[name]) mistakes.push(fieldErrors.required(`${at}.${name}`));
      else checkName(mistakes, `${at}.${name}`, reference[name], anyPathSegment);
    if (reference.namespace) checkName(mistakes, `${at}.namespace`, reference.namespace, anyPathSegment);
  },
  columns: [
    nameColumn,
    column('ParentRef', 'What it belongs to.', ({ spec }) => {
      const parent = spec?.parentRef;
      if (!parent) return '<none>';
      const resource = parent.group ? `${parent.resource}.${parent.group}` : parent.resource;
      return [resource.toLowerCase(), parent.namespace, parent.name].filter(Boolean).join('/');
    }),
    ageColumn,
  ],
});

export const serviceCidrStrategy = plainStrategy<ServiceCIDR & KubeObject>({
  kind: serviceCidrKind,
  subresources: ['status'],
  check(mistakes, next, current, subresource) {
    if (subresource === 'status') return;
    const ranges = next.spec?.cidrs ?? [];
    const old = current?.spec?.cidrs;
    if (old && old.length === ranges.length) {
      for (const [index, range] of ranges.entries())
        checkImmutable(mistakes, `spec.cidrs[${index}]`, range, old[index]);
      return;
    }
    if (old && !(old.length === 1 && ranges.length === 2)) {
      checkImmutable(mistakes, 'spec.cidrs', ranges.length ? ranges : null, old);
      return;
    }
    if (old) checkImmutable(mistakes, 'spec.cidrs[0]', ranges[0], old[0]);
    if (ranges.length === 0) mistakes.push(fieldErrors.required('spec.cidrs', 'at least one CIDR required'));
    else if (ranges.length > 2)
      mistakes.push(fieldErrors.invalid('spec.cidrs', next.spec, 'may only hold up to 2 values'));
    else {
      let valid = true;
      for (const [index, range] of ranges.entries())
        valid = checkCidr(mistakes, `spec.cidrs[${index}]`, range, true) && valid;
      if (valid && ranges.length === 2 && isIpv6(ranges[0]!) === isIpv6(ranges[1]!))
        mistakes.push(
          fieldErrors.invalid(
            'spec.cidrs',
            ranges,
            'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64',
          ),
        );
    }
  },
  columns: [nameColumn, column('CIDRs', 'The ranges.', (c) => (c.spec?.cidrs ?? []).join(',')), ageColumn],
});
