import type { NodePartContext } from '#sdk';
import type { HostLease } from './kinds.ts';

const addressesEveryMs = 2_000;
/** A host that moves is found again within seconds. Addresses of links alone come and go with every pod. */
export async function followAddresses({ clock, network, scope }: NodePartContext, changed: () => void): Promise<void> {
  const addresses = () =>
    network
      .ownAddresses()
      .filter((address) => !address.startsWith('fe80:'))
      .sort()
      .join();
  for (let former = addresses(); !scope.signal.aborted; await clock.sleep(addressesEveryMs, scope.signal)) {
    const now = addresses();
    if (now !== former) changed();
    former = now;
  }
}

/** Counts and times in another host's status are none of ours; whom it cannot reach is, for relays. */
export const concernsPeers = (now: Readonly<HostLease>, before: Readonly<HostLease>): boolean =>
  !Bun.deepEquals(now.spec, before.spec) ||
  !Bun.deepEquals(now.metadata.annotations, before.metadata.annotations) ||
  !Bun.deepEquals(now.status?.peers?.unreachable ?? [], before.status?.peers?.unreachable ?? []) ||
  now.status?.secretMark !== before.status?.secretMark;

/** What others say in our lease; the rest we have written ourselves. */
export const concernsUs = (now: Readonly<HostLease>, before: Readonly<HostLease>): boolean =>
  now.spec.relayVia !== before.spec.relayVia ||
  !Bun.deepEquals(now.spec.subnets, before.spec.subnets) ||
  !Bun.deepEquals(now.metadata.annotations, before.metadata.annotations);
