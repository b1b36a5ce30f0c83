import type { DumpPeer } from './dump.ts';

/** A peer as it is to be on one device. */
export interface WantedPeer {
  readonly node: string;
  readonly publicKey: string;
  readonly presharedKey?: string;
  /** With its port. */
  readonly endpoint: string;
  /** Sorted; no two peers of a device have one in common. */
  readonly allowedIps: readonly string[];
  readonly keepaliveS: number;
}
export interface PeerChange {
  readonly peer: WantedPeer;
  readonly isNew: boolean;
  /** False leaves the endpoint alone: it has roamed to where the peer's packets come from. */
  readonly withEndpoint: boolean;
}
export interface PeerPlan {
  readonly set: readonly PeerChange[];
  /** Public keys. */
  readonly remove: readonly string[];
}
/** A session is dead that long after its handshake, so an endpoint is then only a memory (WireGuard's reject-after-time). */
export const sessionS = 180;

/**
 * What has to be done so that a device has these peers and no others. `before`: what was wanted of each key when it was
 * last set; a lease's endpoint is applied when it changes and where nobody answers, and never over one that roamed.
 */
export function planPeers(
  wanted: readonly WantedPeer[],
  observed: readonly DumpPeer[],
  nowS: number,
  before: ReadonlyMap<string, WantedPeer> = new Map(),
): PeerPlan {
  const byKey = new Map(observed.map((peer) => [peer.publicKey, peer]));
  const set = wanted.flatMap((peer): PeerChange[] => {
    const present = byKey.get(peer.publicKey);
    byKey.delete(peer.publicKey);
    if (!present) return [{ peer, isNew: true, withEndpoint: true }];
    const was = before.get(peer.publicKey);
    const silent = nowS - present.lastHandshakeS > sessionS;
    const withEndpoint = (was !== undefined && was.endpoint !== peer.endpoint) || (silent && moved(present, peer));
    return withEndpoint || differs(present, peer, was) ? [{ peer, isNew: false, withEndpoint }] : [];
  });
  return { set, remove: [...byKey.keys()] };
}

const moved = (present: DumpPeer, peer: WantedPeer): boolean => present.endpoint !== peer.endpoint;

/** A dump tells only that there is a pre-shared key: whether it is the wanted one is known from what was set before. */
function differs(present: DumpPeer, peer: WantedPeer, was: WantedPeer | undefined): boolean {
  return (
    present.keepaliveS !== peer.keepaliveS ||
    present.hasPresharedKey !== (peer.presharedKey !== undefined) ||
    (was !== undefined && was.presharedKey !== peer.presharedKey) ||
    present.allowedIps.join() !== peer.allowedIps.join()
  );
}

/** Sections for `wg addconf`: each replaces what its peer had, the endpoint excepted where it is left out. */
export const peerSections = (changes: readonly PeerChange[]): string =>
  changes
    .map(({ peer, withEndpoint }) =>
      [
        '[Peer]',
        `PublicKey = ${peer.publicKey}`,
        ...(peer.presharedKey ? [`PresharedKey = ${peer.presharedKey}`] : []),
        ...(withEndpoint ? [`Endpoint = ${peer.endpoint}`] : []),
        ...(peer.allowedIps.length > 0 ? [`AllowedIPs = ${peer.allowedIps.join(', ')}`] : []), // wg refuses an empty line
        `PersistentKeepalive = ${peer.keepaliveS || 'off'}`,
        '',
      ].join('\n'),
    )
    .join('');
