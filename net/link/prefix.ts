import ipaddr from 'ipaddr.js';

/** Whether the range (`192.0.2.0/24`, or a single address) holds the address. False for other families and for nonsense. */
export function isInRange(ip: string, range: string): boolean {
  const [base, prefix] = range.split('/');
  if (!base || !ipaddr.isValid(ip) || !ipaddr.isValid(base)) return false;
  const [address, network] = [ipaddr.parse(ip), ipaddr.parse(base)];
  if (address.kind() !== network.kind()) return false;
  return address.match(network, prefix === undefined ? network.toByteArray().length * 8 : Number(prefix));
}
