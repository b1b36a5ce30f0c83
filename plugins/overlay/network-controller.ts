import { type ControllerSpec, isReason, type Node, nodeKind, type ReconcileContext } from '#sdk';
import { freeSubnets } from './allocate.ts';
import {
  type HostLease,
  hostLeaseKind,
  isReadyLease,
  networkName,
  type OverlayNetwork,
  type OverlayStatus,
  overlayNetworkKind,
} from './kinds.ts';
import { planMigration } from './plan-migration.ts';
import { planRelays } from './plan-relays.ts';

const countEveryMs = 1_000; // a thousand hosts that join are counted a few times, not a thousand times
const lookEveryMs = 5_000; // while a move waits: hosts that fall silent change no lease

/** The cluster's side of the overlay: which backend is in force, where a move stands, who relays for whom. */
export const networkController: ControllerSpec<OverlayNetwork> = {
  name: 'overlay-network',
  watches: overlayNetworkKind,
  alsoOn: [{ kind: hostLeaseKind, keys: (_: HostLease) => [{ name: networkName }] }],
  workersMax: 1,
  reconciler: {
    async reconcile({ name }, network, context) {
      if (!network || name !== networkName) return;
      const leases = context.informers.informer(hostLeaseKind).cache.list() as Readonly<HostLease>[];
      const isLive = livenessOf(context);
      await assignRelays(leases, isLive, context);
      const { status = {} } = network;
      const move = planMigration({ settings: network.spec, status, leases, isLive });
      const hasMoved = status.backend !== move.backend || status.phase !== move.phase;
      if (!hasMoved && isTooSoon(context)) return { requeueAfterMs: countEveryMs };
      countedAt.set(context.informers, context.clock.monotonicMs());
      const next: OverlayStatus = {
        ...{ observedGeneration: network.metadata.generation ?? 0, ...move },
        hosts: {
          total: leases.length,
          ready: leases.filter((lease) => isReadyLease(lease) && isLive(nameOf(lease))).length,
        },
        freeSubnets: freeOf(network, leases),
        ...(status.conditions ? { conditions: status.conditions } : {}),
      };
      if (!Bun.deepEquals(sorted(status), sorted(next)))
        await context.client.update(overlayNetworkKind, { ...network, status: next }, { subresource: 'status' });
      if (hasMoved) tell(network, next, context);
      return move.phase === 'Settled' ? undefined : { requeueAfterMs: lookEveryMs };
    },
  },
};

const nameOf = ({ metadata }: Readonly<HostLease>): string => metadata.name!;
const sorted = (status: object): object =>
  Object.fromEntries(Object.entries(status).sort(([left], [right]) => (left < right ? -1 : 1)));

/** When this process counted last. */
const countedAt = new WeakMap<object, number>();
const isTooSoon = ({ informers, clock }: ReconcileContext): boolean =>
  clock.monotonicMs() - (countedAt.get(informers) ?? Number.NEGATIVE_INFINITY) < countEveryMs;

/** A node that says of itself that it is not ready, or says nothing any more, is not waited for. */
function livenessOf({ informers }: ReconcileContext): (name: string) => boolean {
  const nodes = informers.informer(nodeKind).cache;
  return (name) => {
    const node = nodes.get({ name }) as Readonly<Node> | undefined;
    const ready = node?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    return node !== undefined && ready !== 'False' && ready !== 'Unknown';
  };
}

function freeOf({ spec }: Readonly<OverlayNetwork>, leases: readonly Readonly<HostLease>[]): number {
  const { ranges, ipv4PrefixBits = 24, ipv6PrefixBits = 64 } = spec;
  const taken = leases.flatMap((lease) => lease.spec.subnets);
  return freeSubnets({ ranges, ipv4PrefixBits, ipv6PrefixBits }, taken);
}

async function assignRelays(
  leases: readonly Readonly<HostLease>[],
  isLive: (name: string) => boolean,
  { client, events }: ReconcileContext,
): Promise<void> {
  const isConcerned = leases.some(({ spec, status }) => spec.relayVia || (status?.peers?.unreachable ?? []).length > 0);
  if (!isConcerned) return;
  const relays = planRelays(leases, isLive);
  for (const lease of leases) {
    const name = nameOf(lease);
    const relay = relays.get(name);
    // Of a host that is not heard of nothing is known; what it had stays until it speaks.
    if (relay === lease.spec.relayVia || (!isLive(name) && !relay)) continue;
    const body = { spec: { relayVia: relay ?? null } };
    await client.patch(hostLeaseKind, { name }, { type: 'merge', body }).catch((error: unknown) => {
      if (!isReason(error, 'NotFound')) throw error;
    });
    if (relay) events.event(lease, 'Normal', 'Relayed', `hosts that ${name} cannot reach are reached through ${relay}`);
    else events.event(lease, 'Normal', 'Direct', `${name} reaches every host without a relay`);
  }
}

function tell(network: Readonly<OverlayNetwork>, next: OverlayStatus, { events }: ReconcileContext): void {
  const texts: Partial<Record<NonNullable<OverlayStatus['phase']>, string>> = {
    Preparing: `every host makes ${next.next} ready beside ${next.backend}`,
    Switching: `every host accepts ${next.next}; they begin to send by it`,
    Removing: `every host sends by ${next.backend}; ${next.previous} is removed`,
    Settled: `the hosts reach each other by ${next.backend}`,
  };
  const text = texts[next.phase ?? 'Settled'];
  if (text) events.event(network, 'Normal', `Backend${next.phase}`, text);
}
