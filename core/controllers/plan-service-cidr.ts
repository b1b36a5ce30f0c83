import ipaddr from 'ipaddr.js';
import type { IPAddress, KubeObject, ServiceCIDR } from '#api';

type TheRange = Readonly<ServiceCIDR & KubeObject>;
type Address = Readonly<IPAddress & KubeObject>;
const managedByLabel = 'ipaddress.kubernetes.io/managed-by';
const allocator = 'ipallocator.k8s.io';

type Cidr = ReturnType<typeof ipaddr.parseCIDR>;
const cidrsOf = (range: TheRange): Cidr[] =>
  (range.spec?.cidrs ?? []).flatMap((text) => (ipaddr.isValidCIDR(text) ? [ipaddr.parseCIDR(text)] : []));
const covers = ([outer, bits]: Cidr, [inner, innerBits]: Cidr): boolean =>
  outer.kind() === inner.kind() && bits <= innerBits && inner.match(outer, bits);

/** An address that the range can give: not the network's own, and of IPv4 not the broadcast address. */
function gives([network, bits]: Cidr, text: string): boolean {
  const address = ipaddr.parse(text);
  if (address.kind() !== network.kind() || !address.match(network, bits)) return false;
  const kind = network instanceof ipaddr.IPv4 ? ipaddr.IPv4 : ipaddr.IPv6;
  const edges = [kind.networkAddressFromCIDR(`${network}/${bits}`)];
  if (network instanceof ipaddr.IPv4) edges.push(ipaddr.IPv4.broadcastAddressFromCIDR(`${network}/${bits}`));
  return !edges.some((edge) => edge.toString() === address.toString());
}

/** Ranges that hold this address: their state may depend on it. */
export const rangesWith = (ranges: readonly TheRange[], address: Address): TheRange[] =>
  address.metadata.labels?.[managedByLabel] === allocator && ipaddr.isValid(address.metadata.name!)
    ? ranges.filter((range) => cidrsOf(range).some((cidr) => gives(cidr, address.metadata.name!)))
    : [];
/** Ranges that share addresses with this one: they may let it go, or it them. */
export const rangesBeside = (ranges: readonly TheRange[], range: TheRange): TheRange[] =>
  ranges.filter((other) =>
    cidrsOf(other).some((one) => cidrsOf(range).some((mine) => covers(one, mine) || covers(mine, one))),
  );

/** Whether no address loses its last range with this one. Pure. */
export function mayGo(range: TheRange, ranges: readonly TheRange[], addresses: readonly Address[]): boolean {
  const others = ranges.filter(({ metadata }) => metadata.name !== range.metadata.name);
  const isCovered = (mine: Cidr) => others.some((other) => cidrsOf(other).some((one) => covers(one, mine)));
  if (cidrsOf(range).every(isCovered)) return true;
  return !addresses.some((address) => {
    const holders = rangesWith(ranges, address);
    return holders.length === 1 && holders[0]!.metadata.name === range.metadata.name;
  });
}
