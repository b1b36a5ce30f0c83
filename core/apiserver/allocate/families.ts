import { type FieldError, fieldErrors, type ServiceSpec } from '#api';
import { sameJson } from '../strategies/rules/values.ts';
import { checkAddressFields } from '../strategies/service/address-fields.ts';
import { type Family, familyOf, otherFamily } from './range.ts';

type Spec = ServiceSpec;
const policyField = 'spec.ipFamilyPolicy';
const isSelectorless = (spec: Readonly<Spec>): boolean => Object.keys(spec.selector ?? {}).length === 0;
export const hasNoAddress = (spec: Readonly<Spec>): boolean => spec.type === 'ExternalName';

/** What a client left out of an update of an address stays as it was: it may know one of the two fields, or none. */
export function keepAddresses(next: Spec, before: Readonly<Spec>): void {
  if (hasNoAddress(next) || hasNoAddress(before)) return;
  if (!next.clusterIP && before.clusterIP) next.clusterIP = before.clusterIP;
  if (!next.clusterIPs?.length && before.clusterIPs?.length) next.clusterIPs = [...before.clusterIPs];
}

/** `clusterIP` is the first of `clusterIPs`: who changes one means both. */
export function alignAddresses(next: Spec, before: Readonly<Spec> | undefined): void {
  const isSame = sameJson(next.clusterIPs ?? [], before?.clusterIPs ?? []);
  if (!before) {
    if (next.clusterIP && !next.clusterIPs?.length) next.clusterIPs = [next.clusterIP];
    return;
  }
  if (before.clusterIPs?.length && !next.clusterIPs?.length && before.clusterIP === next.clusterIP)
    next.clusterIPs = [...before.clusterIPs];
  if ((before.clusterIP ?? '') === (next.clusterIP ?? '') || !isSame) return;
  if (next.clusterIP) next.clusterIPs = [next.clusterIP];
  else delete next.clusterIPs;
}

/** Nobody gains or loses a second address because the cluster did: only who changes the policy or a field does. */
export function isSettled(next: Readonly<Spec>, before: Readonly<Spec> | undefined): boolean {
  if (!before || next.ipFamilyPolicy === undefined || next.type !== before.type || hasNoAddress(next)) return false;
  if (next.ipFamilyPolicy !== 'PreferDualStack') return false;
  if (before.ipFamilyPolicy !== undefined && before.ipFamilyPolicy !== 'PreferDualStack') return false;
  return (
    sameJson(next.clusterIPs ?? [], before.clusterIPs ?? []) && sameJson(next.ipFamilies ?? [], before.ipFamilies ?? [])
  );
}

/**
 * Chooses policy and families where they were left open. `families`: those of the cluster, the default one first.
 * Mistakes mean that nothing may be given out. Upstream's order of checks, so that the first to speak is the same.
 */
export function chooseFamilies(
  spec: Spec,
  before: Readonly<Spec> | undefined,
  families: readonly Family[],
): FieldError[] {
  if (hasNoAddress(spec) || isSettled(spec, before)) return [];
  spec.ipFamilyPolicy ??= before?.ipFamilyPolicy ?? defaultPolicy(spec);
  const fields = checkAddressFields(spec, before);
  if (fields.length > 0) return fields;
  const mistakes = before ? releaseSecond(spec, before) : [];
  mistakes.push(...refuseSecond(spec));
  mistakes.push(...inferFamilies(spec, families));
  if (mistakes.length > 0) return mistakes;
  const wanted = (spec.ipFamilies ??= []) as Family[];
  const isSingle = spec.ipFamilyPolicy === 'SingleStack';
  if (spec.clusterIP === 'None' && isSelectorless(spec)) {
    // Whose endpoints nobody knows may have any, whatever the cluster has.
    if (wanted.length === 0) wanted.push(families[0]!);
    if (wanted.length < 2 && !isSingle) wanted.push(otherFamily(wanted[0]!));
    return [];
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack' && families.length < 2)
    mistakes.push(
      fieldErrors.invalid(policyField, spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services'),
    );
  for (const [index, family] of wanted.entries())
    if (!families.includes(family))
      mistakes.push(fieldErrors.invalid(`spec.ipFamilies[${index}]`, family, 'not configured on this cluster'));
  if (mistakes.length > 0) return mistakes;
  if (wanted.length === 0) wanted.push(families[0]!);
  if (!isSingle && wanted.length === 1 && families.length === 2) wanted.push(otherFamily(wanted[0]!));
  return [];
}

const defaultPolicy = (spec: Readonly<Spec>): string =>
  spec.clusterIP === 'None' && isSelectorless(spec) ? 'RequireDualStack' : 'SingleStack';

/** SingleStack gives the second one back; any other policy must not lose it. */
function releaseSecond(spec: Spec, before: Readonly<Spec>): FieldError[] {
  if (spec.ipFamilyPolicy === 'SingleStack') {
    if (sameJson(spec.clusterIPs ?? [], before.clusterIPs ?? [])) spec.clusterIPs = spec.clusterIPs?.slice(0, 1);
    if (sameJson(spec.ipFamilies ?? [], before.ipFamilies ?? [])) spec.ipFamilies = spec.ipFamilies?.slice(0, 1);
    if (!spec.clusterIPs) delete spec.clusterIPs;
    if (!spec.ipFamilies) delete spec.ipFamilies;
    return [];
  }
  const isFewer = (next: readonly string[] = [], old: readonly string[] = []) =>
    next.length > 0 && next.length < old.length;
  const wrong = (what: string): FieldError =>
    fieldErrors.invalid(policyField, spec.ipFamilyPolicy, `must be 'SingleStack' to release the secondary ${what}`);
  return [
    ...(isFewer(spec.clusterIPs, before.clusterIPs) ? [wrong('cluster IP')] : []),
    ...(isFewer(spec.ipFamilies, before.ipFamilies) ? [wrong('IP family')] : []),
  ];
}

function refuseSecond(spec: Readonly<Spec>): FieldError[] {
  if (spec.ipFamilyPolicy !== 'SingleStack') return [];
  const wrong = (what: string): FieldError =>
    fieldErrors.invalid(
      policyField,
      spec.ipFamilyPolicy,
      `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`,
    );
  return [
    ...(spec.clusterIPs?.length === 2 ? [wrong('cluster IPs')] : []),
    ...(spec.ipFamilies?.length === 2 ? [wrong('IP families')] : []),
  ];
}

/** Addresses that people named say which families they are of. */
function inferFamilies(spec: Spec, families: readonly Family[]): FieldError[] {
  const mistakes: FieldError[] = [];
  for (const [index, ip] of (spec.clusterIPs ?? []).entries()) {
    if (ip === 'None') break;
    if (index < (spec.ipFamilies?.length ?? 0)) continue;
    const family = familyOf(ip);
    if (families.includes(family)) (spec.ipFamilies ??= []).push(family);
    else
      mistakes.push(
        fieldErrors.invalid(
          `spec.clusterIPs[${index}]`,
          spec.clusterIPs,
          `${family} is not configured on this cluster`,
        ),
      );
  }
  return mistakes;
}
