import { type HostLease, isReadyLease } from './kinds.ts';

/**
 * Which host carries the traffic of which: a pair that reaches each other in neither direction needs a third that both
 * reach. A relay that still does is kept, so that paths do not wander. Names of hosts that need none are absent. Pure.
 */
export function planRelays(
  leases: readonly Readonly<HostLease>[],
  isLive: (name: string) => boolean,
): Map<string, string> {
  const live = leases.filter((lease) => isReadyLease(lease) && isLive(lease.metadata.name!));
  const cut = new Map(live.map((lease) => [lease.metadata.name!, new Set(lease.status?.peers?.unreachable ?? [])]));
  const partners = new Map<string, string[]>();
  for (const [name, missing] of cut) {
    const mutual = [...missing].filter((other) => cut.get(other)?.has(name)).sort();
    if (mutual.length > 0) partners.set(name, mutual);
  }
  const reach = (from: string, to: string): boolean => !cut.get(from)?.has(to) && !cut.get(to)?.has(from);
  // Who is cut off from somebody may still serve, if nobody else is there for it; the others come first.
  const candidates = [...cut.keys()].sort(
    (left, right) => (partners.get(left)?.length ?? 0) - (partners.get(right)?.length ?? 0) || (left < right ? -1 : 1),
  );
  const former = new Map(leases.map(({ metadata, spec }) => [metadata.name!, spec.relayVia]));
  const relays = new Map<string, string>();
  for (const [name, missing] of partners) {
    const score = (relay: string): number =>
      relay === name || !reach(name, relay)
        ? 0
        : missing.filter((other) => other !== relay && reach(relay, other)).length;
    const best = candidates.reduce((most, relay) => Math.max(most, score(relay)), 0);
    if (best === 0) continue;
    const known = former.get(name);
    relays.set(
      name,
      known && cut.has(known) && score(known) === best ? known : candidates.find((relay) => score(relay) === best)!,
    );
  }
  return relays;
}

/** The relay of a pair, the same for both ends: that of the end whose name comes first, if the pair needs one. */
export function relayOf(left: Readonly<HostLease>, right: Readonly<HostLease>): string | undefined {
  const names = [left.metadata.name!, right.metadata.name!] as const;
  const isCut =
    left.status?.peers?.unreachable?.includes(names[1]) && right.status?.peers?.unreachable?.includes(names[0]);
  if (!isCut) return undefined;
  const [first, second] = names[0] < names[1] ? [left, right] : [right, left];
  const usable = [first.spec.relayVia, second.spec.relayVia].filter((relay) => relay && !names.includes(relay));
  return usable[0];
}
