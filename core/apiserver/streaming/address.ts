import ipaddr from 'ipaddr.js';
import { errors } from '#api';

/**
 * The address itself when the apiserver may connect there on somebody's behalf; throws otherwise. Names are refused: what was
 * checked must be what is connected to. Loopback, link-local (with it the metadata services of clouds), multicast and
 * unspecified addresses are refused, but for what this cluster gave itself (127.x without root): addresses in `allowedRanges` that `isLive`.
 */
export function checkedAddress(
  address: string | undefined,
  allowedRanges: readonly string[],
  isLive: (address: string) => boolean = () => true,
): string {
  if (!address || !ipaddr.isValid(address)) throw errors.badRequest('address not allowed');
  const parsed = ipaddr.process(address); // IPv4 in IPv6 becomes IPv4, so that it cannot hide a loopback address
  const allowed = allowedRanges.some((range) => {
    const [base, bits] = ipaddr.parseCIDR(range);
    return base.kind() === parsed.kind() && parsed.match(base, bits);
  });
  const open = openRanges.has(parsed.range()) || (allowed && isLive(parsed.toString()));
  if (!open) throw errors.badRequest('address not allowed');
  if (metadataAddresses.has(parsed.toString())) throw errors.badRequest('address not allowed');
  return parsed.toString();
}

const openRanges: ReadonlySet<string> = new Set(['unicast', 'private', 'uniqueLocal', 'carrierGradeNat', 'reserved']);
/** Metadata services outside the link-local ranges. */
const metadataAddresses: ReadonlySet<string> = new Set(['fd00:ec2::254', '100.100.100.200', '168.63.129.16']);

export const hostPort = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
