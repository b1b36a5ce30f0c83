import { ranges } from '#sdk';

const { cidrText, contains, overlaps, parseCidr, sizeOf } = ranges;
type Cidr = ranges.Cidr;

export interface Ranges {
  /** Of the cluster: one CIDR for each family. */
  readonly ranges: readonly string[];
  readonly ipv4PrefixBits: number;
  readonly ipv6PrefixBits: number;
}
const bitsFor = (range: Cidr, { ipv4PrefixBits, ipv6PrefixBits }: Ranges): number =>
  range.family === 4 ? ipv4PrefixBits : ipv6PrefixBits;
const parsed = (texts: Iterable<string>): Cidr[] =>
  [...texts].map(parseCidr).filter((cidr): cidr is Cidr => cidr !== undefined);

/**
 * The lowest free subnet of each range; or the range that has none left. `taken` may hold subnets of any size, of
 * hosts that got theirs when the setting was another. Pure, so that the same cluster always answers the same.
 */
export function allocate(
  settings: Ranges,
  taken: Iterable<string>,
): { readonly subnets: string[] } | { readonly exhausted: string } {
  const used = parsed(taken).sort((left, right) => (left.first < right.first ? -1 : 1));
  const subnets: string[] = [];
  for (const range of parsed(settings.ranges)) {
    const found = lowestFree(range, bitsFor(range, settings), used);
    if (!found) return { exhausted: cidrText(range) };
    subnets.push(cidrText(found));
  }
  return { subnets };
}

/** `used` in ascending order. */
function lowestFree(range: Cidr, prefixBits: number, used: readonly Cidr[]): Cidr | undefined {
  if (prefixBits < range.prefixBits) return undefined;
  const { family } = range;
  const step = sizeOf({ family, first: 0n, prefixBits });
  const end = range.first + sizeOf(range);
  let first = range.first;
  for (const other of used) {
    if (other.family !== family || other.first + sizeOf(other) <= first) continue;
    if (first + step <= other.first) break;
    const behind = other.first + sizeOf(other);
    first = ((behind + step - 1n) / step) * step; // a range's own bits are zero below its prefix: steps stay aligned
    if (first + step > end) return undefined;
  }
  return first + step <= end ? { family, first, prefixBits } : undefined;
}

/** How many hosts could still get a subnet, of the range with the fewest. Subnets of other sizes count by what they cover. */
export function freeSubnets(settings: Ranges, taken: Iterable<string>): number {
  const used = parsed(taken);
  let least = Number.MAX_SAFE_INTEGER;
  for (const range of parsed(settings.ranges)) {
    const prefixBits = bitsFor(range, settings);
    if (prefixBits < range.prefixBits) return 0;
    const step = sizeOf({ family: range.family, first: 0n, prefixBits });
    const inside = used.filter((cidr) => contains(range, cidr));
    const covered = inside.reduce((sum, cidr) => sum + (sizeOf(cidr) + step - 1n) / step, 0n);
    const free = sizeOf(range) / step - covered;
    least = Math.min(least, free > 0n ? Number(free > 2n ** 31n ? 2n ** 31n : free) : 0);
  }
  return least;
}

/** Mistakes of one lease's subnets by themselves: one for each range at most, and inside of it. */
export function subnetMistakes(subnets: readonly string[], ranges: readonly string[]): string[] {
  const outer = parsed(ranges);
  const families = new Set<number>();
  return subnets.flatMap((text): string[] => {
    const cidr = parseCidr(text);
    if (!cidr) return [`${text} is no CIDR without bits below its prefix`];
    if (families.has(cidr.family)) return [`${text} is a second subnet of IPv${cidr.family}`];
    families.add(cidr.family);
    const range = outer.find(({ family }) => family === cidr.family);
    if (!range) return [`${text}: the cluster has no IPv${cidr.family} range`];
    return contains(range, cidr) ? [] : [`${text} lies outside of the cluster's range ${cidrText(range)}`];
  });
}

/** Who already holds an address of these subnets. */
export function holderOf(
  subnets: readonly string[],
  others: Iterable<readonly [name: string, subnets: readonly string[]]>,
): { readonly name: string; readonly subnet: string } | undefined {
  const own = parsed(subnets);
  for (const [name, theirs] of others)
    for (const other of parsed(theirs))
      if (own.some((cidr) => overlaps(cidr, other))) return { name, subnet: cidrText(other) };
  return undefined;
}
