import ipaddr from 'ipaddr.js';

/** IPv4 in dotted-quad form, nothing else (`010.1.1.1`, `1.2.3` and IPv6 are not). */
export const isIpv4 = (text: string): boolean => dottedQuad.test(text);
const dottedQuad = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/; // asked for every backend of every service: the library takes ten times as long

/** As the kernel writes it (`fd00::1`), of either family; undefined for what is no plain address. */
export function canonicalIp(text: string): string | undefined {
  if (isIpv4(text)) return text;
  if (!ipaddr.IPv6.isValid(text) || text.includes('%')) return undefined;
  return ipaddr.IPv6.parse(text).toRFC5952String();
}

/** A range of either family without bits below the prefix; undefined for what is none. */
export function canonicalCidr(text: string): string | undefined {
  const slash = text.lastIndexOf('/');
  const [ip, prefix] = [text.slice(0, Math.max(slash, 0)), text.slice(slash + 1)];
  if (!/^\d{1,3}$/.test(prefix) || canonicalIp(ip) === undefined) return undefined;
  const family = isIpv4(ip) ? ipaddr.IPv4 : ipaddr.IPv6;
  if (!family.isValidCIDR(text)) return undefined;
  const first = family.networkAddressFromCIDR(text);
  return `${first instanceof ipaddr.IPv6 ? first.toRFC5952String() : first.toString()}/${Number(prefix)}`;
}

/** Whether a range holds an address or a whole range; false for what is neither, and for another family. */
export function cidrContains(cidr: string, inner: string): boolean {
  const [ip, prefix] = inner.split('/') as [string, string?];
  if (canonicalCidr(cidr) === undefined || canonicalIp(ip) === undefined) return false;
  const [first, bits] = ipaddr.parseCIDR(cidr);
  const address = ipaddr.parse(ip);
  return (
    address.kind() === first.kind() &&
    Number(prefix ?? 128) >= bits &&
    address.match([first, bits] as [ipaddr.IPv4, number])
  );
}

/** Of canonical ranges, those that no other one of them holds: each address is in one at most. */
export function disjointCidrs(cidrs: readonly string[]): string[] {
  const parsed = [...new Set(cidrs)].map((text) => ({ text, range: ipaddr.parseCIDR(text) }));
  const holds = (a: (typeof parsed)[number], b: (typeof parsed)[number]) =>
    a !== b &&
    a.range[0].kind() === b.range[0].kind() &&
    a.range[1] < b.range[1] &&
    b.range[0].match(a.range as [ipaddr.IPv4, number]);
  return parsed.filter((one) => !parsed.some((other) => holds(other, one))).map(({ text }) => text);
}
