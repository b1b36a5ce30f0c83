import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;
export const familyOf = (ip: string): Family => (ip.includes(':') ? 6 : 4);

/** A host's pod addresses of one family. They are counted from the range's first: 1 is the host's own. */
export interface PodRange {
  readonly family: Family;
  readonly cidr: string;
  readonly base: bigint;
  readonly prefix: number;
  /** Pods have 2 up to this one. */
  readonly lastPod: number;
}
const podsMax = 2 ** 20; // of a range that nobody can fill: enough that an address comes back late

/** Bits below the prefix are dropped. Throws for what is no range, or has no room for a pod. */
export function parsePodRange(cidr: string): PodRange {
  if (!ipaddr.IPv4.isValidCIDRFourPartDecimal(cidr) && !ipaddr.IPv6.isValidCIDR(cidr))
    throw new Error(`${cidr} is no range such as 10.42.0.0/24 or fd42::/64`);
  const [address, prefix] = ipaddr.parseCIDR(cidr);
  const family = address.kind() === 'ipv4' ? 4 : 6;
  const hostBits = BigInt((family === 4 ? 32 : 128) - prefix);
  const base = (numberOf(address.toByteArray()) >> hostBits) << hostBits;
  const size = 1n << hostBits;
  const last = family === 4 ? size - 2n : size - 1n; // IPv4's last address is for broadcasts
  if (last < 2n) throw new Error(`${cidr} has no room for pods`);
  const lastPod = Number(last > podsMax ? BigInt(podsMax) : last);
  return { family, prefix, base, lastPod, cidr: `${addressText(family, base)}/${prefix}` };
}
export const addressAt = (range: PodRange, number: number): string =>
  addressText(range.family, range.base + BigInt(number));
/** Undefined for an address of elsewhere. */
export function numberAt(range: PodRange, ip: string): number | undefined {
  if (familyOf(ip) !== range.family || !ipaddr.isValid(ip)) return undefined;
  const number = numberOf(ipaddr.parse(ip).toByteArray()) - range.base;
  return number >= 0n && number <= BigInt(range.lastPod) ? Number(number) : undefined;
}
export const gatewayOf = (range: PodRange): string => addressAt(range, 1);

const numberOf = (bytes: readonly number[]): bigint => bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
function addressText(family: Family, value: bigint): string {
  const bytes = new Array<number>(family === 4 ? 4 : 16).fill(0);
  for (let index = bytes.length - 1, rest = value; index >= 0; index--, rest >>= 8n) bytes[index] = Number(rest & 255n);
  return family === 4 ? bytes.join('.') : new ipaddr.IPv6(bytes).toRFC5952String();
}
