import type { network } from '#sdk';
import { holderOf } from './allocate.ts';
import type { HostLease } from './kinds.ts';
import { relayOf } from './plan-relays.ts';

export interface PeersPlan {
  /** For the backend: everybody else who has made it ready. */
  readonly peers: readonly network.Lease[];
  /** Hosts whose leases cannot be used; the others are served. */
  readonly rejected: readonly { readonly node: string; readonly reason: string }[];
}
/** By backend: what a host has published of it, first or further one. */
export function factsOf(
  { spec }: Readonly<HostLease>,
  backend: string,
):
  | { readonly endpoint: string; readonly data: Readonly<Record<string, string>>; readonly mtuBytes?: number }
  | undefined {
  const { endpoint, data = {}, mtuBytes } = spec;
  if (spec.backend === backend && endpoint) return { endpoint, data, ...(mtuBytes ? { mtuBytes } : {}) };
  const offer = spec.offers?.find((one) => one.backend === backend);
  return (
    offer && {
      endpoint: offer.endpoint,
      data: offer.data ?? {},
      ...(offer.mtuBytes ? { mtuBytes: offer.mtuBytes } : {}),
    }
  );
}

/**
 * The whole set of a host's peers, from all leases. A host that has published nothing yet is no peer and no mistake. What the
 * API server should have refused is refused here again: a subnet of this host's own, or of a host that had it before. Pure.
 */
export function planPeers(
  self: Readonly<HostLease>,
  leases: readonly Readonly<HostLease>[],
  backend: string,
): PeersPlan {
  const peers: network.Lease[] = [];
  const rejected: { node: string; reason: string }[] = [];
  const own = self.metadata.name!;
  const others = leases.filter(({ metadata }) => metadata.name !== own).toSorted(byName);
  const reachable = new Set(others.filter((lease) => factsOf(lease, backend) && !relayOf(self, lease)).map(nameOf));
  for (const lease of others) {
    const facts = factsOf(lease, backend);
    if (!facts) continue;
    const node = nameOf(lease);
    const { subnets } = lease.spec;
    if (holderOf(subnets, [[own, self.spec.subnets]])) {
      rejected.push({ node, reason: `its subnets ${subnets.join(', ')} are this host's own` });
      continue;
    }
    const relay = relayOf(self, lease);
    const { endpoint, data } = facts;
    // A relay that is not there yet, or has gone: tried directly, which is at least as good.
    const relayVia = relay !== undefined && reachable.has(relay) ? { relayVia: relay } : {};
    peers.push({ node, subnets, endpoint, backend, data, ...relayVia });
  }
  return { peers, rejected };
}
/** One number for a set of hosts and what each has published of the backend, whatever the order: equal sets have equal marks. */
export function markOf(hosts: readonly Pick<network.Lease, 'node' | 'endpoint' | 'data'>[]): number {
  let mark = 0;
  for (const { node, endpoint, data } of hosts) {
    const facts = Object.entries(data).sort(([left], [right]) => (left < right ? -1 : 1));
    mark ^= Bun.hash.crc32(JSON.stringify([node, endpoint, facts]));
  }
  return mark >>> 0;
}
const nameOf = ({ metadata }: Readonly<HostLease>): string => metadata.name!;
const byName = (left: Readonly<HostLease>, right: Readonly<HostLease>): number =>
  nameOf(left) < nameOf(right) ? -1 : 1;
