import ipaddr from 'ipaddr.js';
import { fieldErrors } from '#api';
import { checkIp, isIp, type Mistakes } from './values.ts';

const kinds: Readonly<Record<string, string>> = {
  unspecified: 'may not be unspecified (0.0.0.0)',
  loopback: 'may not be in the loopback range (127.0.0.0/8, ::1/128)',
  linkLocal: 'may not be in the link-local range (169.254.0.0/16, fe80::/10)',
};

/** An address that traffic may be sent to: a loopback or link-local one would reach the node itself. */
export function checkEndpointIp(mistakes: Mistakes, field: string, text: string, loopbackAllowed = false): void {
  if (!checkIp(mistakes, field, text)) return;
  const address = ipaddr.parse(text);
  const range: string = address.range();
  if (range === 'loopback' && loopbackAllowed) return;
  const linkLocalMulticast = /^224\.0\.0\./.test(text) || /^ff02:/i.test(text);
  const why = linkLocalMulticast
    ? 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'
    : kinds[range];
  if (why) mistakes.push(fieldErrors.invalid(field, text, why));
}

export const isIpv6 = (text: string): boolean => text.includes(':');
const maskBits = (text: string): number => Number(text.slice(text.indexOf('/') + 1));
/** The canonical form of a valid address: lower case, the longest run of zeros left out. */
export function canonicalIp(text: string): string {
  const address = ipaddr.parse(text);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

/** A range with no bits beyond its prefix. True: it may be computed with. `canonical` asks for its shortest writing too. */
export function checkCidr(mistakes: Mistakes, field: string, text: string, canonical = false): boolean {
  const wrong = (why: string): boolean => {
    mistakes.push(fieldErrors.invalid(field, text, why));
    return false;
  };
  const slash = text.indexOf('/');
  const [address, prefix] = [text.slice(0, slash), text.slice(slash + 1)];
  const plainZeros = (part: string): string => part.replace(/(^|\.)0+(?=\d)/g, '$1');
  const loose = isIpv6(address) ? address : plainZeros(address);
  if (slash < 0 || !/^\d+$/.test(prefix) || !isIp(loose) || Number(prefix) > (isIpv6(address) ? 128 : 32))
    return wrong('must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)');
  if (loose !== address || String(Number(prefix)) !== prefix)
    return wrong('must not have leading 0s in IP or prefix length');
  const parsed = ipaddr.parse(address);
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress())
    return wrong('must not have an IPv4-mapped IPv6 address');
  const network = (parsed instanceof ipaddr.IPv6 ? ipaddr.IPv6 : ipaddr.IPv4).networkAddressFromCIDR(text);
  if (network.toString() !== parsed.toString()) return wrong('must not have bits set beyond the prefix length');
  const shortest = `${canonicalIp(address)}/${prefix}`;
  return canonical && shortest !== text ? wrong(`must be in canonical form ("${shortest}")`) : true;
}

/** Both valid: whether the second lies in the first and is smaller. */
export function cidrContains(outer: string, inner: string): boolean {
  if (isIpv6(outer) !== isIpv6(inner) || maskBits(outer) >= maskBits(inner)) return false;
  return ipaddr.parse(inner.slice(0, inner.indexOf('/'))).match(ipaddr.parseCIDR(outer));
}

/** An address in its canonical form. */
export function checkStrictIp(mistakes: Mistakes, field: string, text: string): void {
  const loose = isIpv6(text) ? text : text.replace(/(^|\.)0+(?=\d)/g, '$1');
  if (!isIp(loose)) {
    checkIp(mistakes, field, text);
    return;
  }
  const parsed = ipaddr.parse(loose);
  const before = mistakes.length;
  if (loose !== text) mistakes.push(fieldErrors.invalid(field, text, 'must not have leading 0s'));
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress())
    mistakes.push(fieldErrors.invalid(field, text, 'must not be an IPv4-mapped IPv6 address'));
  if (mistakes.length === before && canonicalIp(text) !== text)
    mistakes.push(fieldErrors.invalid(field, text, `must be in canonical form ("${canonicalIp(text)}")`));
}

/** As upstream takes new values of old fields: without leading zeros and no IPv4-mapped address; any other writing is right. */
export function checkLegacyIp(mistakes: Mistakes, field: string, text: string): boolean {
  const before = mistakes.length;
  const loose = isIpv6(text) ? text : text.replace(/(^|\.)0+(?=\d)/g, '$1');
  if (!isIp(loose)) return checkIp(mistakes, field, text);
  if (loose !== text) mistakes.push(fieldErrors.invalid(field, text, 'must not have leading 0s'));
  const parsed = ipaddr.parse(loose);
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress())
    mistakes.push(fieldErrors.invalid(field, text, 'must not be an IPv4-mapped IPv6 address'));
  return mistakes.length === before;
}

/** What an address in another writing than the canonical one is warned of. */
export function ipWarnings(field: string, text: string): string[] {
  const loose = isIpv6(text) ? text : text.replace(/(^|\.)0+(?=\d)/g, '$1');
  if (!isIp(loose)) return [];
  const parsed = ipaddr.parse(loose);
  const mapped = parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress();
  if (loose !== text || mapped) {
    const better = mapped ? (parsed as ipaddr.IPv6).toIPv4Address().toString() : loose;
    return [`${field}: non-standard IP address ${JSON.stringify(text)} is invalid: use "${better}"`];
  }
  const shortest = canonicalIp(text);
  if (!isIpv6(text) || shortest === text) return [];
  return [`${field}: IPv6 address ${JSON.stringify(text)} should be in RFC 5952 canonical format ("${shortest}")`];
}
