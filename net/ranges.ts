/** Ranges of addresses of both families, as whole numbers: what subnets are counted, compared and cut by. Pure. */
export interface Cidr {
  readonly family: 4 | 6;
  /** The lowest address. */
  readonly first: bigint;
  readonly prefixBits: number;
}
const widthOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);
export const sizeOf = ({ family, prefixBits }: Cidr): bigint => 1n << BigInt(widthOf(family) - prefixBits);
const lastOf = (cidr: Cidr): bigint => cidr.first + sizeOf(cidr) - 1n;

/** `10.1.0.0/16` or `fd00::/48`; undefined for anything else, bits below the prefix included. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = parseAddress(match?.[1] ?? '');
  if (!address || String(Number(match![2])) !== match![2]) return undefined;
  const prefixBits = Number(match![2]);
  const { family, value: first } = address;
  if (prefixBits > widthOf(family)) return undefined;
  const cidr = { family, first, prefixBits };
  return first % sizeOf(cidr) === 0n ? cidr : undefined;
}
/** The range in which an address with its prefix lies: `10.1.2.3/16` is in `10.1.0.0/16`. */
export function networkOf(text: string): Cidr | undefined {
  const [address = '', bits = ''] = text.split('/');
  const parsed = parseAddress(address);
  if (!parsed || !/^\d{1,3}$/.test(bits) || Number(bits) > widthOf(parsed.family)) return undefined;
  const cidr = { family: parsed.family, first: parsed.value, prefixBits: Number(bits) };
  return { ...cidr, first: parsed.value - (parsed.value % sizeOf(cidr)) };
}
export const cidrText = ({ family, first, prefixBits }: Cidr): string => `${addressText(family, first)}/${prefixBits}`;
export const overlaps = (left: Cidr, right: Cidr): boolean =>
  left.family === right.family && left.first <= lastOf(right) && right.first <= lastOf(left);
export const contains = (outer: Cidr, inner: Cidr): boolean =>
  outer.family === inner.family && outer.first <= inner.first && lastOf(inner) <= lastOf(outer);
export function holdsAddress(cidr: Cidr, text: string): boolean {
  const address = parseAddress(text);
  return address?.family === cidr.family && address.value >= cidr.first && address.value <= lastOf(cidr);
}
export const isAddress = (text: string): boolean => parseAddress(text) !== undefined;
/** Loopback, link-local, multicast, unspecified: no other host reaches those. */
export function isReachableAddress(text: string): boolean {
  return isAddress(text) && !unreachable.some((range) => holdsAddress(range, text));
}
const unreachable = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/127',
  'fe80::/10',
  'ff00::/8',
].map((text) => parseCidr(text)!);

export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
}
/** Undefined for what is no address. */
export function parseAddress(text: string): Address | undefined {
  if (!text.includes(':')) {
    const value = fourBytes(text);
    return value === undefined ? undefined : { family: 4, value };
  }
  const value = eightGroups(text);
  return value === undefined ? undefined : { family: 6, value };
}
function fourBytes(text: string): bigint | undefined {
  if (!/^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(text)) return undefined;
  return BigInt(text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0));
}
function eightGroups(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const zeros = 8 - head.length - tail.length;
  if (halves.length === 2 ? zeros < 1 : zeros !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: zeros }, () => '0'), ...tail];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return BigInt(`0x${groups.map((group) => group.padStart(4, '0')).join('')}`);
}
export function addressText(family: 4 | 6, value: bigint): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - 16 * index)) & 65_535n).toString(16),
  ).join(':');
  // The longest run of zeros is left out, the first of equal ones (RFC 5952).
  const runs = [...groups.matchAll(/(?:^|(?<=:))0(?::0)+(?=:|$)/g)].sort((a, b) => b[0].length - a[0].length);
  const run = runs[0];
  if (!run) return groups;
  const head = groups.slice(0, run.index).replace(/:$/, '');
  return `${head}::${groups.slice(run.index + run[0].length).replace(/^:/, '')}`;
}
