import { ranges } from '#sdk';

/** Addresses of a pool in a row, both ends included. */
export interface Span {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}
const { addressText, parseAddress, parseCidr, sizeOf } = ranges;

/** `192.0.2.0/28`, `192.0.2.10-192.0.2.20` or one address; undefined for anything else. */
export function parseSpan(text: string): Span | undefined {
  if (text.includes('/')) {
    const cidr = parseCidr(text);
    return cidr && { family: cidr.family, first: cidr.first, last: cidr.first + sizeOf(cidr) - 1n };
  }
  const [from = '', to = from, more] = text.split('-').map((part) => part.trim());
  const [first, last] = [parseAddress(from), parseAddress(to)];
  if (more !== undefined || !first || !last || first.family !== last.family || first.value > last.value) return;
  return { family: first.family, first: first.value, last: last.value };
}
export const spansOf = (addresses: readonly string[]): Span[] =>
  addresses.flatMap((text) => parseSpan(text) ?? []).sort((a, b) => (a.first < b.first ? -1 : 1));
export const meets = (a: Span, b: Span): boolean => a.family === b.family && a.first <= b.last && b.first <= a.last;
export const countOf = (spans: readonly Span[]): bigint =>
  spans.reduce((sum, { first, last }) => sum + last - first + 1n, 0n);

export function holds(spans: readonly Span[], ip: string): boolean {
  const address = parseAddress(ip);
  return spans.some(
    ({ family, first, last }) => family === address?.family && first <= address.value && address.value <= last,
  );
}
/** The lowest one of a family that is not taken; undefined when all are. */
export function firstFree(spans: readonly Span[], family: 4 | 6, taken: ReadonlySet<string>): string | undefined {
  for (const span of spans)
    if (span.family === family)
      for (let value = span.first; value <= span.last; value++) {
        const text = addressText(family, value);
        if (!taken.has(text)) return text; // at most as many rounds as addresses are taken
      }
  return undefined;
}
