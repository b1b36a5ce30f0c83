import type { api } from '#sdk';
import {
  type AllowRule,
  canonicalCidr,
  type Direction,
  disjointCidrs,
  type Family,
  type FilterMatch,
  familyOf,
  type PortRange,
  type Protocol,
} from '#sdk';
import { protocolOf } from './facts.ts';
import type { GroupSpec } from './groups.ts';

/** Names of the sets that a rule reads, per family; whoever gives a name sees to it that the set is there. */
export interface SetNames {
  readonly families: readonly Family[];
  group(spec: GroupSpec, family: Family): string;
  /** Endpoints behind a container port of this name. */
  named(name: string, protocol: Protocol, family: Family): string;
  /** Endpoints that are reached under a port of this range and listen at another one; undefined: there are none. */
  translated(protocol: Protocol, range: PortRange, family: Family): string | undefined;
}

/** The directions that a policy closes. What the API server defaults is not trusted to be there. */
export function directionsOf(spec: api.NetworkPolicySpec): Direction[] {
  const types = spec.policyTypes?.length ? spec.policyTypes : ['Ingress', ...(spec.egress?.length ? ['Egress'] : [])];
  return [
    ...(types.includes('Ingress') ? (['in'] as const) : []),
    ...(types.includes('Egress') ? (['out'] as const) : []),
  ];
}

/** What one policy lets through in one direction. Pure. */
export function allowRules(
  namespace: string,
  spec: api.NetworkPolicySpec,
  direction: Direction,
  names: SetNames,
): AllowRule[] {
  const rules =
    direction === 'in'
      ? (spec.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
      : (spec.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
  return rules.flatMap(({ peers = [], ports = [] }) => {
    // An absent list and an empty one mean everybody, and every port.
    const who = peers.length > 0 ? peers.flatMap((peer) => peerMatches(namespace, peer, direction, names)) : [[]];
    const where = ports.length > 0 ? portMatches(ports, direction, names) : [[]];
    return who.flatMap((peer) => where.map((port) => [...peer, ...port]).filter(isOneFamily));
  });
}

const isOneFamily = (rule: AllowRule): boolean =>
  new Set(rule.flatMap((match) => ('family' in match ? [match.family] : []))).size < 2;

function peerMatches(
  namespace: string,
  peer: api.NetworkPolicyPeer,
  direction: Direction,
  names: SetNames,
): AllowRule[] {
  const side = direction === 'in' ? 'saddr' : 'daddr';
  const { ipBlock, namespaceSelector, podSelector } = peer;
  if (ipBlock) {
    // The API server let only ranges in; a text that is none must not become a part of a command, and means nobody.
    const cidr = canonicalCidr(ipBlock.cidr);
    if (cidr === undefined) return [];
    const family = familyOf(cidr);
    const valid = (ipBlock.except ?? []).map(canonicalCidr).filter((one) => one !== undefined);
    const except = disjointCidrs(valid.filter((one) => familyOf(one) === family)); // nft refuses ranges that meet
    return [[{ type: 'block', side, family, cidr, except }]];
  }
  if (!namespaceSelector && !podSelector) return []; // the API server refuses it; nobody is meant
  const spec: GroupSpec = { ...(namespaceSelector ? { namespaceSelector } : { namespace }), podSelector };
  return names.families.map((family): AllowRule => [{ type: 'member', side, family, set: names.group(spec, family) }]);
}

function portMatches(ports: readonly api.NetworkPolicyPort[], direction: Direction, names: SetNames): AllowRule[] {
  const ranges = new Map<Protocol, PortRange[] | 'all'>();
  const found: FilterMatch[] = [];
  for (const { port, endPort, protocol: text } of ports) {
    const protocol = protocolOf(text);
    if (!protocol) continue;
    if (typeof port === 'string')
      for (const family of names.families)
        found.push({ type: 'endpoint', family, set: names.named(port, protocol, family) });
    else if (port === undefined) ranges.set(protocol, 'all');
    else if (ranges.get(protocol) !== 'all')
      ranges.set(protocol, [...((ranges.get(protocol) as PortRange[] | undefined) ?? []), [port, endPort ?? port]]);
  }
  for (const [protocol, some] of ranges) {
    const merged = some === 'all' ? [] : mergeRanges(some);
    found.push({ type: 'ports', protocol, ranges: merged });
    if (direction === 'out')
      for (const range of merged)
        for (const family of names.families) {
          const set = names.translated(protocol, range, family);
          if (set !== undefined) found.push({ type: 'endpoint', family, set });
        }
  }
  return found.map((match) => [match]);
}

/** Sorted, and without overlap: nft refuses what meets. */
export function mergeRanges(ranges: readonly PortRange[]): PortRange[] {
  const merged: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const former = merged.at(-1);
    if (former && first <= former[1] + 1) former[1] = Math.max(former[1], last);
    else merged.push([first, last]);
  }
  return merged;
}
