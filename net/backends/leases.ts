import ipaddr from 'ipaddr.js';
import type { Lease } from '../backend.ts';
import { isIpv4 } from '../cidr.ts';

export interface Rejection {
  readonly node: string;
  readonly reason: string;
}
/** A lease that can be served, with the backend's reading of its data. */
export interface Peer<T> {
  readonly lease: Lease;
  readonly data: T;
  /** As the kernel writes them, sorted. */
  readonly subnets: readonly string[];
  readonly ranges: readonly Range[];
}
/** Numbers of one address family: comparable, and far cheaper than texts for hundreds of peers. */
export interface Range {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

/** Undefined for what is no address with a prefix, or has bits below it. */
export function parseRange(cidr: string): Range | undefined {
  const slash = cidr.lastIndexOf('/');
  const [ip, prefixText] = [cidr.slice(0, slash), cidr.slice(slash + 1)];
  if (slash < 0 || !/^\d{1,3}$/.test(prefixText)) return undefined;
  const bytes = isIpv4(ip)
    ? ip.split('.').map(Number)
    : ipaddr.IPv6.isValid(ip) && !ip.includes('%')
      ? ipaddr.IPv6.parse(ip).toByteArray()
      : undefined;
  const prefix = Number(prefixText);
  if (!bytes || prefix > bytes.length * 8) return undefined;
  const first = bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n);
  const size = 1n << BigInt(bytes.length * 8 - prefix);
  return first % size === 0n ? { family: bytes.length === 4 ? 4 : 6, first, last: first + size - 1n } : undefined;
}
export const isIp = (text: string): boolean => isIpv4(text) || (ipaddr.IPv6.isValid(text) && !text.includes('%'));
const overlap = (a: Range, b: Range): boolean => a.family === b.family && a.first <= b.last && b.first <= a.last;

/** What is wrong with a lease by itself, whatever its backend makes of its data. */
export function judgeLease(lease: Lease, own: readonly Range[], backend: string): string | undefined {
  if (lease.backend !== backend) return `its backend is ${lease.backend || 'none'}, not ${backend}`;
  if (!isIp(lease.endpoint)) return `its endpoint ${JSON.stringify(lease.endpoint)} is no address`;
  if (lease.subnets.length === 0) return 'it has no subnet';
  for (const cidr of lease.subnets) {
    const range = parseRange(cidr);
    if (!range) return `its subnet ${JSON.stringify(cidr)} is no range such as 10.42.3.0/24`;
    if (own.some((each) => overlap(each, range))) return `its subnet ${cidr} overlaps with this host's own`;
  }
  return undefined;
}

/** In order of the addresses neighbours alone can overlap; only if some do, everybody is compared with everybody. */
export function withoutOverlaps<T>(found: readonly Peer<T>[], rejected: Rejection[]): readonly Peer<T>[] {
  const sorted = found
    .flatMap(({ ranges }) => ranges)
    .sort((a, b) => a.family - b.family || (a.first < b.first ? -1 : 1));
  if (!sorted.some((range, index) => index > 0 && overlap(range, sorted[index - 1]!))) return found;
  const kept: Peer<T>[] = [];
  for (const one of found) {
    const rival = kept.find(({ ranges }) => ranges.some((range) => one.ranges.some((each) => overlap(each, range))));
    if (!rival) kept.push(one);
    else rejected.push({ node: one.lease.node, reason: `its subnets overlap with those of ${rival.lease.node}` });
  }
  return kept;
}

/** A relay is a served peer that is itself reached directly: one step, so that nothing goes in circles. */
export function withRelays<T>(peers: readonly Peer<T>[], rejected: Rejection[]): readonly Peer<T>[] {
  if (!peers.some(({ lease }) => lease.relayVia)) return peers;
  const direct = new Set(peers.filter(({ lease }) => !lease.relayVia).map(({ lease }) => lease.node));
  return peers.filter(({ lease }) => {
    if (!lease.relayVia || direct.has(lease.relayVia)) return true;
    rejected.push({ node: lease.node, reason: `its relay ${lease.relayVia} is not reached directly` });
    return false;
  });
}

/** The peers that are reached directly, each with the subnets of those that it relays; all sorted. */
export function directPeers<T>(
  peers: readonly Peer<T>[],
): { readonly peer: Peer<T>; readonly subnets: readonly string[] }[] {
  const relayed = new Map<string, string[]>();
  for (const { lease, subnets } of peers)
    if (lease.relayVia) relayed.set(lease.relayVia, [...(relayed.get(lease.relayVia) ?? []), ...subnets]);
  return peers
    .filter(({ lease }) => !lease.relayVia)
    .map((peer) => {
      const further = relayed.get(peer.lease.node);
      return { peer, subnets: further ? [...peer.subnets, ...further].sort() : peer.subnets };
    });
}
/** The peers that are not rejected; with a relay those go that it relays. */
export function servedPeers<T>(peers: readonly Peer<T>[], rejected: Rejection[]): readonly Peer<T>[] {
  if (rejected.length === 0) return peers;
  const bad = new Set(rejected.map(({ node }) => node));
  for (const { lease } of peers) {
    if (bad.has(lease.node) || !lease.relayVia || !bad.has(lease.relayVia)) continue;
    bad.add(lease.node);
    rejected.push({ node: lease.node, reason: `its relay ${lease.relayVia} is rejected` });
  }
  return peers.filter(({ lease }) => !bad.has(lease.node));
}
/** The first of the same address family as the range or address. */
export const sameFamily = (ips: readonly string[], range: string): string | undefined =>
  ips.find((ip) => ip.includes(':') === range.includes(':'));
/** As the kernel and its tools write it. */
export function canonical(cidr: string): string {
  if (!cidr.includes(':')) return cidr;
  const [ip, prefix] = cidr.split('/');
  return `${ipaddr.IPv6.parse(ip!).toRFC5952String()}/${prefix}`;
}
/** With a port, as wireguard-tools write it. */
export const withPort = (ip: string, port: number): string =>
  ip.includes(':') ? `[${ipaddr.IPv6.parse(ip).toRFC5952String()}]:${port}` : `${ip}:${port}`;
/** The host's own address in its subnets, one of each family: the network's first, which no pod gets. */
export const hostAddresses = (subnets: readonly string[]): string[] => addressesOf(subnets.map(canonical));
/** The same for subnets as the kernel writes them. */
export const addressesOf = (subnets: readonly string[]): string[] => {
  const all = subnets.map((cidr) => cidr.slice(0, cidr.lastIndexOf('/')));
  return [all.find((ip) => !ip.includes(':')), all.find((ip) => ip.includes(':'))].filter((ip) => ip !== undefined);
};
