import {
  type ControllerSpec,
  type InformerFactory,
  isReason,
  type KubeObject,
  messageOf,
  type Node,
  nodeKind,
  type ReconcileContext,
  timeText,
} from '#sdk';
import { allocate } from './allocate.ts';
import {
  goneSinceAnnotation,
  type HostLease,
  hostLeaseKind,
  networkName,
  type OverlayNetwork,
  overlayNetworkKind,
} from './kinds.ts';
import { networkCondition, tellNode } from './node-condition.ts';

type NodeObject = Node & KubeObject;
const againAfterMs = 30_000; // what is lacking may come without an event that names this host
const refusal = 'CIDRNotAvailable';

/**
 * Gives each host its subnets and keeps lease and Node in agreement; what the Node says comes first. Nothing but these two
 * objects is remembered: whatever write was the last before a crash, the next look goes on from there.
 */
export const leaseController: ControllerSpec<NodeObject> = {
  name: 'overlay-leases',
  watches: nodeKind,
  alsoOn: [
    {
      kind: hostLeaseKind,
      keys: ({ metadata }: HostLease, informers) => [{ name: metadata.name! }, ...waiting(informers)],
    },
    { kind: overlayNetworkKind, keys: (_: OverlayNetwork, informers) => [...waiting(informers), ...left(informers)] },
  ],
  workersMax: 1, // two allocations at once would choose the same subnet, and one of them be refused
  reconciler: {
    async reconcile({ name }, node, context) {
      const { informers } = context;
      const network = informers.informer(overlayNetworkKind).cache.get({ name: networkName });
      const lease = informers.informer(hostLeaseKind).cache.get({ name });
      if (!node) return lease && network ? forget(lease, network, context) : undefined;
      if (!network) return { requeueAfterMs: againAfterMs };
      if (!lease) return give(node, network, context);
      if (lease.metadata.annotations?.[goneSinceAnnotation]) await returned(lease, context);
      const said = node.spec?.podCIDRs ?? [];
      if (said.length === 0) return sayOnNode(node, lease.spec.subnets, context);
      if (Bun.deepEquals(said, lease.spec.subnets)) return;
      const text = `the lease of ${name} has ${lease.spec.subnets.join(', ')}, its Node ${said.join(', ')}: the Node's hold`;
      context.events.event(node, 'Warning', 'SubnetsDiffer', text);
      await remove(lease, context); // its deletion brings us back
    },
  },
};

/** Hosts without a lease: a subnet that becomes free, or a setting, may help them. */
const waiting = (informers: InformerFactory) => {
  const leases = informers.informer(hostLeaseKind).cache;
  return (informers.informer(nodeKind).cache.list() as Readonly<NodeObject>[])
    .map(({ metadata }) => ({ name: metadata.name! }))
    .filter((key) => !leases.get(key));
};

/** Leases of hosts that are gone: how long they are kept is a setting. */
const left = (informers: InformerFactory) => {
  const nodes = informers.informer(nodeKind).cache;
  const leases = informers.informer(hostLeaseKind).cache.list() as Readonly<HostLease>[];
  return leases.map(({ metadata }) => ({ name: metadata.name! })).filter((key) => !nodes.get(key));
};

async function give(node: Readonly<NodeObject>, network: Readonly<OverlayNetwork>, context: ReconcileContext) {
  const { client, informers } = context;
  const { name = '' } = node.metadata;
  const said = node.spec?.podCIDRs ?? [];
  const { ranges, ipv4PrefixBits = 24, ipv6PrefixBits = 64 } = network.spec;
  // What a Node says counts from the moment that it says so: its lease may be on its way.
  const taken = [
    ...informers
      .informer(hostLeaseKind)
      .cache.list()
      .flatMap(({ spec }) => spec.subnets),
    ...(informers.informer(nodeKind).cache.list() as Readonly<NodeObject>[])
      .filter(({ metadata }) => metadata.name !== name)
      .flatMap(({ spec }) => spec?.podCIDRs ?? []),
  ];
  const found = said.length > 0 ? { subnets: [...said] } : allocate({ ranges, ipv4PrefixBits, ipv6PrefixBits }, taken);
  if ('exhausted' in found) {
    const text = `the range ${found.exhausted} has no subnet left for this host; remove hosts that are gone (kubectl delete node NAME) or start the cluster with a larger --pod-cidr`;
    await tellNode(node, { status: 'True', reason: refusal, message: text }, context);
    return { requeueAfterMs: againAfterMs };
  }
  const { apiVersion, kind } = { apiVersion: 'net.pintle.dev/v1', kind: 'HostLease' } as const;
  try {
    await client.create(hostLeaseKind, { apiVersion, kind, metadata: { name }, spec: { subnets: found.subnets } });
  } catch (error) {
    if (isReason(error, 'AlreadyExists')) return;
    if (!isReason(error, 'Invalid') || said.length === 0) throw error; // by then somebody else had it: choose again
    await tellNode(node, { status: 'True', reason: refusal, message: messageOf(error) }, context);
    return { requeueAfterMs: againAfterMs };
  }
  return sayOnNode(node, found.subnets, context);
}

/** Never changed once set: the API server sees to that, whoever else tries. */
async function sayOnNode(node: Readonly<NodeObject>, subnets: readonly string[], context: ReconcileContext) {
  const { name = '' } = node.metadata;
  const body = { spec: { podCIDR: subnets[0], podCIDRs: [...subnets] } };
  if (!node.spec?.podCIDRs?.length)
    await context.client.patch(nodeKind, { name }, { type: 'merge', body }).catch((error: unknown) => {
      if (!isReason(error, 'NotFound')) throw error;
    });
  if (networkCondition(node)?.reason === refusal)
    await tellNode(
      node,
      { status: 'True', reason: 'SubnetGiven', message: 'waiting for the overlay on the host' },
      context,
    );
}

/** The Node is gone: its subnet is kept for a while, so that a host that comes back has the addresses that others know. */
async function forget(lease: Readonly<HostLease>, network: Readonly<OverlayNetwork>, context: ReconcileContext) {
  const { clock } = context;
  const graceMs = (network.spec.returnGraceSeconds ?? 300) * 1_000;
  const since = Date.parse(lease.metadata.annotations?.[goneSinceAnnotation] ?? '');
  if (!Number.isFinite(since)) {
    if (graceMs === 0) return remove(lease, context);
    await annotate(lease, timeText(clock.now()), context);
    return { requeueAfterMs: graceMs };
  }
  const leftMs = since + graceMs - clock.now();
  if (leftMs > 0) return { requeueAfterMs: Math.min(leftMs, graceMs) };
  await remove(lease, context);
}
const returned = (lease: Readonly<HostLease>, context: ReconcileContext) => annotate(lease, null, context);

async function annotate({ metadata }: Readonly<HostLease>, since: string | null, { client }: ReconcileContext) {
  const body = { metadata: { annotations: { [goneSinceAnnotation]: since } } };
  await client.patch(hostLeaseKind, { name: metadata.name! }, { type: 'merge', body }).catch((error: unknown) => {
    if (!isReason(error, 'NotFound')) throw error;
  });
}
/** This one and no other of the same name. */
async function remove({ metadata }: Readonly<HostLease>, { client }: ReconcileContext): Promise<undefined> {
  const preconditions = { uid: metadata.uid, resourceVersion: metadata.resourceVersion };
  await client.delete(hostLeaseKind, { name: metadata.name! }, { preconditions }).catch((error: unknown) => {
    if (!isReason(error, 'NotFound')) throw error;
  });
}
