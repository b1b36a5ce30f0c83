import type { RouteTable, WantedRoute } from '../link/routes.ts';
import type { ChangeBook } from './changes.ts';
import type { Rejection } from './leases.ts';

/** The routes of each peer. */
export interface PeerRoutes {
  readonly node: string;
  readonly routes: readonly WantedRoute[];
}

/** Exactly these routes; what was set is noted in the book. Resolves to the peers to whom the kernel takes no route. */
export async function applyPeerRoutes(
  table: RouteTable,
  changes: ChangeBook,
  wanted: readonly PeerRoutes[],
): Promise<Rejection[]> {
  const owners = new Map(
    wanted.flatMap(({ node, routes }) => routes.map(({ destination }) => [destination, node] as const)),
  );
  const { set, refused } = await table.apply(wanted.flatMap(({ routes }) => routes));
  for (const { destination, isNew } of set) changes.touch(owners.get(destination)!, isNew);
  return [...refused].map(([destination, reason]) => ({
    node: owners.get(destination)!,
    reason: `no route to ${destination}: ${reason}`,
  }));
}
