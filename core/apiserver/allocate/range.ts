import ipaddr from 'ipaddr.js';

export type Family = 'IPv4' | 'IPv6';
export const familyOf = (address: string): Family => (address.includes(':') ? 'IPv6' : 'IPv4');
export const otherFamily = (family: Family): Family => (family === 'IPv4' ? 'IPv6' : 'IPv4');

/** The addresses of a range that may be given out, as numbers. */
export interface Range {
  readonly text: string;
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
  /** From here on addresses are given out unasked; those below are kept for people who name theirs, as upstream. */
  readonly dynamicFrom: bigint;
}

/** Undefined for what is no address. */
export function addressNumber(text: string): bigint | undefined {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr
    .parse(text)
    .toByteArray()
    .reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
}
/** In canonical form. */
export function addressText(value: bigint, family: Family): string {
  const bytes: number[] = [];
  for (let left = value, count = bytesOf(family); count > 0; count--, left >>= 8n) bytes.unshift(Number(left & 255n));
  const address = ipaddr.fromByteArray(bytes);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}
const bytesOf = (family: Family): number => (family === 'IPv4' ? 4 : 16);
export const canonical = (address: string): string => {
  const value = addressNumber(address);
  return value === undefined ? address : addressText(value, familyOf(address));
};

const longestPrefix = { IPv4: 30, IPv6: 126 } as const;
const shortestPrefix = { IPv4: 8, IPv6: 64 } as const;

/** Without the network's own address, and of IPv4 without the broadcast address. Throws for what is no range of a usable size. */
export function rangeOf(cidr: string): Range {
  const [address = '', bits = ''] = cidr.split('/');
  const family = familyOf(address);
  const base = addressNumber(address);
  const length = Number(bits);
  const [shortest, longest] = [shortestPrefix[family], longestPrefix[family]];
  if (base === undefined || !/^\d+$/.test(bits) || length < shortest || length > longest)
    throw new Error(`${cidr} is no ${family} range of /${shortest} to /${longest}`);
  const size = 1n << BigInt(bytesOf(family) * 8 - length);
  const network = base - (base % size);
  const first = network + 1n;
  const last = network + size - (family === 'IPv4' ? 2n : 1n);
  return { text: cidr, family, first, last, dynamicFrom: first + keptForPeople(size) };
}
/** A sixteenth, at least 16 and at most 256; of 16 addresses or fewer none. */
function keptForPeople(size: bigint): bigint {
  if (size <= 16n) return 0n;
  const part = size / 16n;
  return part < 16n ? 16n : part > 256n ? 256n : part;
}
export const rangesOf = (cidrs: string): Range[] => cidrs.split(',').map(rangeOf);
export const firstAddress = (cidrs: string): string => {
  const { first, family } = rangesOf(cidrs)[0]!;
  return addressText(first, family);
};
export const holds = (range: Range, value: bigint): boolean => value >= range.first && value <= range.last;
