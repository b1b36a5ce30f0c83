import {
  type ControllerSpec,
  type InformerFactory,
  type KubeObject,
  type ReconcileContext,
  type Service,
  serviceKind,
} from '#sdk';
import { type AddressPool, addressPoolKind, cleanupFinalizer } from './kinds.ts';
import { addressesOf, isServed, planAddresses, takenFrom } from './plan.ts';

type ServiceObject = Service & KubeObject;

/** Gives services of type LoadBalancer their addresses and takes them back. Nothing is remembered but what the services say. */
export const addressController: ControllerSpec<ServiceObject> = {
  name: 'load-balancer',
  watches: serviceKind,
  alsoOn: [
    { kind: addressPoolKind, keys: (_: AddressPool, informers) => keysOf(servedIn(informers)) },
    // One that let its addresses go may help those that wait.
    { kind: serviceKind, keys: (service: ServiceObject, informers) => (isMarked(service) ? waitingIn(informers) : []) },
  ],
  workersMax: 1, // two at once would choose the same address
  reconciler: {
    async reconcile(_key, service, context) {
      if (!service) return;
      if (isServed(service) && !service.metadata.deletionTimestamp) return give(service, context);
      if (isMarked(service)) await takeBack(service, context);
    },
  },
};

const isMarked = ({ metadata }: Readonly<ServiceObject>): boolean =>
  metadata.finalizers?.includes(cleanupFinalizer) ?? false;
const keysOf = (services: readonly Readonly<ServiceObject>[]) =>
  services.map(({ metadata }) => ({ namespace: metadata.namespace!, name: metadata.name! }));
const servedIn = (informers: InformerFactory) =>
  (informers.informer(serviceKind).cache.list() as readonly Readonly<ServiceObject>[]).filter(isServed);
const waitingIn = (informers: InformerFactory) =>
  keysOf(servedIn(informers).filter((service) => addressesOf(service).length === 0));

async function give(service: Readonly<ServiceObject>, context: ReconcileContext): Promise<void> {
  const { events, informers } = context;
  const pools = [...(informers.informer(addressPoolKind).cache.list() as readonly Readonly<AddressPool>[])];
  pools.sort((a, b) => (a.metadata.name! < b.metadata.name! ? -1 : 1));
  const had = addressesOf(service);
  const plan = planAddresses(service, pools, takenFrom(service, servedIn(informers)));
  const ips = 'ips' in plan ? plan.ips : [];
  if ('failure' in plan) sayOnce(service, plan.failure, context);
  else saidOf(context).delete(service.metadata.uid!);
  if (Bun.deepEquals(ips, had)) return;
  if (ips.length > 0) events.event(service, 'Normal', 'EnsuringLoadBalancer', 'Ensuring load balancer');
  // First the mark: whatever happens in between, an address that was given is taken back.
  const marked = isMarked(service) ? service : await mark(service, context);
  await writeStatus(marked, ips, context);
  if (ips.length > 0) events.event(service, 'Normal', 'EnsuredLoadBalancer', 'Ensured load balancer');
}

function mark(service: Readonly<ServiceObject>, { client }: ReconcileContext): Promise<ServiceObject> {
  const finalizers = [...(service.metadata.finalizers ?? []), cleanupFinalizer];
  const next = { ...service, metadata: { ...service.metadata, finalizers } };
  return client.update(serviceKind, next) as Promise<ServiceObject>;
}

/** It is being deleted, or is no load balancer any more. */
async function takeBack(service: Readonly<ServiceObject>, context: ReconcileContext): Promise<void> {
  const { client, events } = context;
  events.event(service, 'Normal', 'DeletingLoadBalancer', 'Deleting load balancer');
  const cleared = addressesOf(service).length > 0 ? await writeStatus(service, [], context) : service;
  const finalizers = cleared.metadata.finalizers?.filter((one) => one !== cleanupFinalizer);
  await client.update(serviceKind, { ...cleared, metadata: { ...cleared.metadata, finalizers } });
  saidOf(context).delete(service.metadata.uid!);
  events.event(service, 'Normal', 'DeletedLoadBalancer', 'Deleted load balancer');
}

function writeStatus(
  service: Readonly<ServiceObject>,
  ips: readonly string[],
  { client }: ReconcileContext,
): Promise<ServiceObject> {
  const ingress = ips.map((ip) => ({ ip, ipMode: 'VIP' }));
  const loadBalancer = ingress.length > 0 ? { ingress } : {};
  const next = { ...service, status: { ...service.status, loadBalancer } };
  return client.update(serviceKind, next, { subresource: 'status' }) as Promise<ServiceObject>;
}

/** Why a service waits, once for each reason. */
function sayOnce(service: Readonly<ServiceObject>, failure: string, context: ReconcileContext): void {
  const said = saidOf(context);
  if (said.get(service.metadata.uid!) === failure) return;
  said.set(service.metadata.uid!, failure);
  if (said.size > saidMax) said.delete(said.keys().next().value!);
  const text = `Error syncing load balancer: failed to ensure load balancer: ${failure}`;
  context.events.event(service, 'Warning', 'SyncLoadBalancerFailed', text);
}
const saidMax = 10_000;
const saidByProcess = new WeakMap<InformerFactory, Map<string, string>>();
function saidOf({ informers }: ReconcileContext): Map<string, string> {
  const known = saidByProcess.get(informers) ?? new Map<string, string>();
  saidByProcess.set(informers, known);
  return known;
}
