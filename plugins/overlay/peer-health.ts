import type { network } from '#sdk';

const freshMs = 200_000; // a session lasts 180 s and is renewed after 120; and some for what is read late
const patienceMs = 45_000; // longer than a keepalive and the tries that follow it

/**
 * Which peers answer, by what the backend sees of them. A peer that is relayed is not tried: it stays what it was until
 * something about it changes.
 */
export class PeerHealth {
  readonly #known = new Map<
    string,
    { readonly facts: Pick<network.Lease, 'endpoint' | 'data'>; readonly sinceMs: number }
  >();
  readonly #unreachable = new Set<string>();

  /** Names of peers that do not answer, sorted. `sights` undefined: the backend cannot tell, and everybody counts as reached. */
  judge(
    peers: readonly network.Lease[],
    sights: readonly network.PeerSight[] | undefined,
    now: { readonly ms: number; readonly monotonicMs: number },
  ): readonly string[] {
    const present = new Set(peers.map(({ node }) => node));
    for (const node of this.#known.keys()) if (!present.has(node)) this.#forget(node);
    if (!sights) {
      this.#unreachable.clear();
      return [];
    }
    const heard = new Map(sights.map(({ node, lastHandshake }) => [node, lastHandshake ?? 0]));
    for (const { node, endpoint, data, relayVia } of peers) {
      const facts = { endpoint, data };
      const before = this.#known.get(node);
      if (before?.facts.data !== data && !Bun.deepEquals(before?.facts, facts)) {
        const wasCut = this.#unreachable.has(node) && before === undefined;
        this.#known.set(node, { facts, sinceMs: now.monotonicMs });
        if (!wasCut) this.#unreachable.delete(node);
      }
      if (relayVia) continue;
      const isFresh = now.ms - (heard.get(node) ?? 0) <= freshMs;
      if (isFresh) this.#unreachable.delete(node);
      else if (now.monotonicMs - this.#known.get(node)!.sinceMs > patienceMs) this.#unreachable.add(node);
    }
    return [...this.#unreachable].sort();
  }
  #forget(node: string): void {
    this.#known.delete(node);
    this.#unreachable.delete(node);
  }
  /** As an earlier life of this process said: a path that was given up is not tried at every restart. */
  remember(nodes: readonly string[]): void {
    for (const node of nodes) this.#unreachable.add(node);
  }
}

/** Peers that are heard from elsewhere than they say. Ports are left out: they differ where the path is changed on the way. */
export function seenElsewhere(
  peers: readonly network.Lease[],
  sights: readonly network.PeerSight[],
): { readonly node: string; readonly endpoint: string }[] {
  const endpoints = new Map(peers.map(({ node, endpoint }) => [node, endpoint]));
  return sights.flatMap(({ node, seenEndpoint }) => {
    const said = endpoints.get(node);
    const seen = seenEndpoint?.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
    return said !== undefined && seen !== undefined && seen !== said ? [{ node, endpoint: seen }] : [];
  });
}
