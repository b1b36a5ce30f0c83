import type { network } from '#sdk';
import type { HostLease } from './kinds.ts';
import { relayOf } from './plan-relays.ts';

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
 * The whole set of a host's peers, for one backend: everybody else who has made it ready, in order. A host that has published
 * nothing yet is no peer and no mistake. Subnets that overlap are refused by the API server, and again by the backend. Pure.
 */
export function planPeers(
  self: Readonly<HostLease>,
  leases: readonly Readonly<HostLease>[],
  backend: string,
): readonly network.Lease[] {
  const own = self.metadata.name!;
  const others = leases.filter((lease) => nameOf(lease) !== own && factsOf(lease, backend)).toSorted(byName);
  const isRelayed = (self.status?.peers?.unreachable ?? []).length > 0;
  const direct = new Set(isRelayed ? others.filter((lease) => !relayOf(self, lease)).map(nameOf) : []);
  return others.map((lease) => {
    const { endpoint, data } = factsOf(lease, backend)!;
    const relay = isRelayed ? relayOf(self, lease) : undefined;
    // A relay that is not there yet, or has gone: tried directly, which is at least as good.
    const relayVia = relay !== undefined && direct.has(relay) ? { relayVia: relay } : {};
    return { node: nameOf(lease), subnets: lease.spec.subnets, endpoint, backend, data, ...relayVia };
  });
}

/** The largest packets of pods that these hosts take by a backend, as far as they have said. Pure. */
export const peerMtusBytes = (others: readonly Readonly<HostLease>[], backend: string): readonly number[] =>
  others.flatMap((lease) => factsOf(lease, backend)?.mtuBytes ?? []);

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
