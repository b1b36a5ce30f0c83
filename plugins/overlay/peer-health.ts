import type { network } from '#sdk';

const freshMs = 200_000; // a session lasts 180 s and is renewed after 120; and some for what is read late
const silenceMs = 60_000; // two keepalives of 25 s, and the tries that follow a lost one
const firstMs = 20_000; // handshakes are tried every 5 s: who has not answered once by then is behind something

interface Known {
  readonly sinceMs: number;
  readonly receivedBytes?: number;
  /** When something came last, as far as looks tell. */
  readonly heardMs: number;
}

/**
 * Which peers answer, by what the backend sees of them. Only evidence changes what is known: a peer that was given up is
 * reached again when its packets come, whether traffic goes there or through a relay.
 */
export class PeerHealth {
  readonly #known = new Map<string, Known>();
  readonly #unreachable = new Set<string>();

  /** As an earlier life of this process said: a path that was given up is not trusted at every restart. */
  remember(nodes: readonly string[]): void {
    for (const node of nodes) this.#unreachable.add(node);
  }

  /** Names of peers that do not answer, sorted. `sights` undefined: the backend cannot tell, and everybody counts as reached. */
  judge(
    peers: readonly network.Lease[],
    sights: readonly network.PeerSight[] | undefined,
    now: { readonly ms: number; readonly monotonicMs: number },
  ): readonly string[] {
    const present = new Set(peers.map(({ node }) => node));
    for (const node of [...this.#known.keys(), ...this.#unreachable]) if (!present.has(node)) this.#forget(node);
    if (!sights) {
      this.#unreachable.clear();
      return [];
    }
    const seen = new Map(sights.map((sight) => [sight.node, sight]));
    for (const { node } of peers) this.#judgeOne(node, seen.get(node), now);
    return [...this.#unreachable].sort();
  }
  #judgeOne(
    node: string,
    sight: network.PeerSight | undefined,
    now: { readonly ms: number; readonly monotonicMs: number },
  ): void {
    const { lastHandshake = 0, receivedBytes } = sight ?? {};
    const before = this.#known.get(node);
    const hasCome = receivedBytes === undefined ? lastHandshake > 0 : (before?.receivedBytes ?? 0) !== receivedBytes;
    const known: Known = {
      sinceMs: before?.sinceMs ?? now.monotonicMs,
      heardMs: hasCome ? now.monotonicMs : (before?.heardMs ?? Number.NEGATIVE_INFINITY),
      ...(receivedBytes === undefined ? {} : { receivedBytes }),
    };
    this.#known.set(node, known);
    const isLive = now.ms - lastHandshake <= freshMs && now.monotonicMs - known.heardMs <= silenceMs;
    if (isLive) this.#unreachable.delete(node);
    else if (now.monotonicMs - known.sinceMs > (known.heardMs < 0 ? firstMs : silenceMs)) this.#unreachable.add(node);
  }
  /** Of some peer nothing is known yet: it is worth looking again soon. */
  get isWaiting(): boolean {
    return [...this.#known].some(([node, { heardMs }]) => heardMs < 0 && !this.#unreachable.has(node));
  }
  #forget(node: string): void {
    this.#known.delete(node);
    this.#unreachable.delete(node);
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
