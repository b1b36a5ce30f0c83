import {
  type AdmissionHook,
  type FieldError,
  fieldErrors,
  invalidObject,
  type Reader,
  ranges,
  serviceCidrKind,
} from '#sdk';
import { type AddressPool, addressPoolKind } from './kinds.ts';
import { meets, parseSpan } from './spans.ts';

/** What a pool may not hold: addresses that nobody could use, or that somebody else gives out. */
export const poolAdmission = (reader: Reader, podRanges: readonly string[]): AdmissionHook => ({
  name: 'AddressPool',
  validate(request) {
    if (request.kind.type !== addressPoolKind.type || request.subresource !== '') return;
    const next = request.object as AddressPool | undefined;
    if (!next || request.operation === 'DELETE') return;
    const former = request.current as AddressPool | undefined;
    if (former && Bun.deepEquals(former.spec.addresses, next.spec.addresses)) return;
    const others = reader.list(addressPoolKind).filter(({ metadata }) => metadata.name !== request.name);
    const services = reader.list(serviceCidrKind).flatMap(({ spec }) => spec?.cidrs ?? []);
    const found = poolMistakes(next, others, { services, pods: podRanges });
    if (found.length > 0) throw invalidObject('AddressPool', addressPoolKind.group, next.metadata.name ?? '', found);
  },
});

/** Pure. */
export function poolMistakes(
  { spec }: Readonly<AddressPool>,
  others: readonly Readonly<AddressPool>[],
  used: { readonly services: readonly string[]; readonly pods: readonly string[] },
): FieldError[] {
  const named = (what: string, text: string) => [parseSpan(text)].flatMap((span) => (span ? [{ what, span }] : []));
  const taken = [
    ...used.services.flatMap((text) => named(`the range of service addresses ${text}`, text)),
    ...used.pods.flatMap((text) => named(`the range of pod addresses ${text}`, text)),
    ...others.flatMap(({ metadata, spec }) =>
      spec.addresses.flatMap((text) => named(`${text} of the pool ${metadata.name}`, text)),
    ),
  ];
  return spec.addresses.flatMap((text, index): FieldError[] => {
    const path = `spec.addresses[${index}]`;
    const span = parseSpan(text);
    if (!span) return [fieldErrors.invalid(path, text, wellFormed)];
    const ends = [span.first, span.last].map((value) => ranges.addressText(span.family, value));
    if (!ends.every(ranges.isReachableAddress)) return [fieldErrors.invalid(path, text, reachable)];
    const met = taken.find((one) => meets(span, one.span));
    taken.push({ what: text, span });
    return met ? [fieldErrors.invalid(path, text, `meets ${met.what}`)] : [];
  });
}
const wellFormed =
  'must be a range such as 192.0.2.0/28 (no bits below the prefix), one from an address to a higher one such as 192.0.2.10-192.0.2.20, or an address';
const reachable = 'must hold no loopback, link-local, multicast or unspecified address';
