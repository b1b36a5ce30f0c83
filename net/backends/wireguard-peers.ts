import type { End, Published } from '../wireguard/generations.ts';
import { directPeers, type Peer, type Rejection } from './leases.ts';

/** A peer with a tunnel of its own, and the subnets that are reached through it: its own and those it relays. */
export interface DirectPeer {
  readonly node: string;
  readonly endpoint: string;
  readonly subnets: readonly string[];
  /** Only the ends that this host can speak to. */
  readonly published: Published;
}

/** Peers with a generation in common with this host; the others are rejected, and with a relay all that it relays. */
export function reachablePeers(
  peers: readonly Peer<Published>[],
  own: ReadonlyMap<number, End>,
): { direct: DirectPeer[]; rejected: Rejection[] } {
  const rejected: Rejection[] = [];
  const owners = new Map([...own.values()].map(({ publicKey }) => [publicKey, 'this host']));
  const direct: DirectPeer[] = [];
  for (const { peer, subnets } of directPeers(peers)) {
    const { node, endpoint } = peer.lease;
    const ends = judge(peer.data, own, owners);
    if (typeof ends === 'string') {
      rejected.push({ node, reason: ends });
      continue;
    }
    for (const { publicKey } of ends.values()) owners.set(publicKey, node);
    direct.push({ node, endpoint, subnets, published: { ends, sendsOn: peer.data.sendsOn } });
  }
  direct.push(...listenedFor(peers, own, owners));
  return { direct, rejected };
}

/** Peers that are reached through a relay have a tunnel without subnets: its handshakes tell when the direct way is open again. */
function listenedFor(
  peers: readonly Peer<Published>[],
  own: ReadonlyMap<number, End>,
  owners: Map<string, string>,
): DirectPeer[] {
  return peers.flatMap(({ lease, data }): DirectPeer[] => {
    const ends = lease.relayVia ? judge(data, own, owners) : undefined;
    if (ends === undefined || typeof ends === 'string') return [];
    for (const { publicKey } of ends.values()) owners.set(publicKey, lease.node);
    return [{ node: lease.node, endpoint: lease.endpoint, subnets: [], published: { ends, sendsOn: data.sendsOn } }];
  });
}

function judge(
  published: Published,
  own: ReadonlyMap<number, End>,
  owners: ReadonlyMap<string, string>,
): Map<number, End> | string {
  const common = [...published.ends].filter(([number]) => own.has(number));
  if (common.length === 0)
    return `it has keys of generation ${[...published.ends.keys()].join(', ')}, this host of ${[...own.keys()].join(', ')}`;
  const rival = common.map(([, { publicKey }]) => owners.get(publicKey)).find((each) => each !== undefined);
  if (rival) return `its public key is that of ${rival}`;
  const usable = common.filter(([number, { mark }]) => own.get(number)!.mark === mark);
  if (usable.length === 0) return 'its pre-shared keys come from another secret than those of this host';
  return new Map(usable);
}
