import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** IPv4 in dotted quads or IPv6, in its shortest form, without a zone or an IPv4 address in disguise; undefined for anything else. */
export function readAddress(text: unknown): Address | undefined {
  if (typeof text !== 'string' || text.length > 45 || !/^[0-9a-f.:]+$/i.test(text)) return undefined;
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (!text.includes(':') || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? undefined : address;
}
/** `10.1.0.0/16` or `fd00::/64` with no bits below the prefix; undefined for anything else. */
export function readRange(text: unknown): { readonly address: Address; readonly bits: number } | undefined {
  if (typeof text !== 'string') return undefined;
  const [head, tail, ...more] = text.split('/');
  const address = readAddress(head);
  if (!address || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(tail ?? '')) return undefined;
  const bits = Number(tail);
  if (bits > (address.kind() === 'ipv4' ? 32 : 128)) return undefined;
  const network =
    address.kind() === 'ipv4'
      ? ipaddr.IPv4.networkAddressFromCIDR(`${head}/${bits}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${head}/${bits}`);
  return network.toNormalizedString() === address.toNormalizedString() ? { address, bits } : undefined;
}
/** Whether all of `inner` (an address or a range) lies in one of these ranges. Pure. */
export function isWithin(inner: string, outer: readonly string[]): boolean {
  const [head] = inner.split('/');
  const address = readAddress(head);
  if (!address) return false;
  const bits = inner.includes('/') ? readRange(inner)?.bits : address.kind() === 'ipv4' ? 32 : 128;
  if (bits === undefined) return false;
  return outer.some((text) => {
    const range = readRange(text);
    return (
      range !== undefined && range.address.kind() === address.kind() && bits >= range.bits && matches(address, range)
    );
  });
}
const matches = (address: Address, { address: network, bits }: { address: Address; bits: number }): boolean =>
  address.kind() === 'ipv4'
    ? (address as ipaddr.IPv4).match(network as ipaddr.IPv4, bits)
    : (address as ipaddr.IPv6).match(network as ipaddr.IPv6, bits);

/** Two texts of one address or range are one. Pure. */
export const sameText = (text: string): string => {
  const [head, tail] = text.split('/');
  const address = readAddress(head);
  if (!address) return text;
  const full = address.kind() === 'ipv4' ? 32 : 128;
  const name = address.kind() === 'ipv4' ? address.toString() : (address as ipaddr.IPv6).toRFC5952String();
  return `${name}/${tail ?? full}`;
};
