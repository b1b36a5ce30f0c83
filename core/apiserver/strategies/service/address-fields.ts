import { type FieldError, fieldErrors, type ServiceSpec } from '#api';
import { checkLegacyIp } from '../rules/addresses.ts';
import { checkOneOf, type Mistakes } from '../rules/values.ts';

type Spec = Readonly<ServiceSpec>;
export const isHeadless = (spec: Spec): boolean => spec.clusterIPs?.length === 1 && spec.clusterIPs[0] === 'None';
const isIpv6 = (ip: string): boolean => ip.includes(':');
const [ipsField, familiesField, policyField] = ['spec.clusterIPs', 'spec.ipFamilies', 'spec.ipFamilyPolicy'];

/** What addresses, families and policy must be beside each other, whoever chose them. Asked before addresses are given, and after. */
export function checkAddressFields(spec: Spec, old?: Spec): FieldError[] {
  if (spec.type === 'ExternalName') return [];
  const mistakes: Mistakes = [];
  const ips = spec.clusterIPs ?? [];
  if (spec.clusterIP) {
    if (ips.length === 0) mistakes.push(fieldErrors.required(ipsField));
    else if (ips[0] !== spec.clusterIP)
      mistakes.push(fieldErrors.invalid(ipsField, ips, 'first value must match `clusterIP`'));
  } else if (ips.length > 0)
    mistakes.push(fieldErrors.invalid(ipsField, ips, 'must be empty when `clusterIP` is not specified'));
  const families = spec.ipFamilies ?? [];
  for (const [index, family] of families.entries()) {
    checkOneOf(mistakes, `${familiesField}[${index}]`, family, ['IPv4', 'IPv6']);
    if (families.indexOf(family) !== index) mistakes.push(fieldErrors.duplicate(`${familiesField}[${index}]`, family));
  }
  checkOneOf(mistakes, policyField, spec.ipFamilyPolicy, ['PreferDualStack', 'RequireDualStack', 'SingleStack']);
  let valid = true;
  for (const [index, ip] of ips.entries()) {
    if (index === 0 && ip === 'None') {
      if (ips.length > 1) {
        valid = false;
        mistakes.push(fieldErrors.invalid(ipsField, ips, "'None' must be the first and only value"));
      }
    } else if (!old?.clusterIPs?.includes(ip)) valid = checkLegacyIp(mistakes, `${ipsField}[${index}]`, ip) && valid;
  }
  if (ips.length > 2) mistakes.push(fieldErrors.invalid(ipsField, ips, 'may only hold up to 2 values'));
  if (!valid) return mistakes; // what follows would speak of addresses that are none
  if (ips.length > 1 && new Set(ips.map(isIpv6)).size < 2)
    mistakes.push(fieldErrors.invalid(ipsField, ips, 'may specify no more than one IP for each IP family'));
  if (isHeadless(spec)) return mistakes;
  for (const [index, ip] of ips.slice(0, families.length).entries()) {
    const family = isIpv6(ip) ? 'IPv6' : 'IPv4';
    const wanted = families[index];
    if ((wanted === 'IPv4' || wanted === 'IPv6') && wanted !== family)
      mistakes.push(
        fieldErrors.invalid(
          `${ipsField}[${index}]`,
          ip,
          `expected an ${wanted} value as indicated by \`ipFamilies[${index}]\``,
        ),
      );
  }
  return mistakes;
}

const hasNone = (spec: Spec): boolean => spec.type === 'ExternalName';
const fixed = 'may not change once set';
const releasing = (what: string): string => `must be set to 'SingleStack' when releasing the secondary ${what}`;
const policyOf = (spec: Spec): unknown => spec.ipFamilyPolicy ?? null;

/** An address stays; a second one comes and goes with the policy. */
export function checkAddressChange(next: Spec, old: Spec): FieldError[] {
  if (hasNone(next) || hasNone(old) || (isHeadless(next) && isHeadless(old))) return [];
  const mistakes: Mistakes = [];
  const [now, before] = [next.clusterIPs ?? [], old.clusterIPs ?? []];
  const change = (index: number, why = fixed) => fieldErrors.invalid(`${ipsField}[${index}]`, nullIfNone(now), why);
  if (now.length === before.length) {
    for (const [index, ip] of before.entries()) if (ip !== now[index]) mistakes.push(change(index));
    return mistakes;
  }
  if (now.length === 0) mistakes.push(change(0, 'primary clusterIP can not be unset'));
  if (now.length > 0 && before.length > 0 && now[0] !== before[0]) mistakes.push(change(0));
  if (now.length === 1 && before.length > 1 && next.ipFamilyPolicy !== 'SingleStack')
    mistakes.push(fieldErrors.invalid(policyField, policyOf(next), releasing('clusterIP')));
  return mistakes;
}

/** The same of families; a headless service may have others at any time. */
export function checkFamilyChange(next: Spec, old: Spec): FieldError[] {
  if (hasNone(next) || hasNone(old) || isHeadless(next) || isHeadless(old)) return [];
  const mistakes: Mistakes = [];
  const [now, before] = [next.ipFamilies ?? [], old.ipFamilies ?? []];
  const at = `${familiesField}[0]`;
  if (now.length === before.length) {
    for (const [index, family] of before.entries())
      if (family !== now[index]) mistakes.push(fieldErrors.invalid(at, now, fixed));
    return mistakes;
  }
  if (now.length < before.length && !next.clusterIPs?.length)
    mistakes.push(fieldErrors.invalid(at, nullIfNone(now), 'primary ipFamily can not be unset'));
  // Upstream shows the addresses here.
  if (now.length > 0 && before.length > 0 && now[0] !== before[0])
    mistakes.push(fieldErrors.invalid(at, nullIfNone(next.clusterIPs ?? []), fixed));
  if (now.length === 1 && before.length > 1 && next.ipFamilyPolicy !== 'SingleStack')
    mistakes.push(fieldErrors.invalid(policyField, policyOf(next), releasing('ipFamily')));
  return mistakes;
}
const nullIfNone = (list: readonly string[]): unknown => (list.length > 0 ? list : null);
