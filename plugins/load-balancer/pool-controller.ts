import { type ControllerSpec, type InformerFactory, type ReconcileContext, type Service, serviceKind } from '#sdk';
import { type AddressPool, addressPoolKind } from './kinds.ts';
import { addressesOf, isServed } from './plan.ts';
import { countOf, holds, spansOf } from './spans.ts';

const countEveryMs = 1_000; // a thousand services that come are counted a few times, not a thousand times

/** How much of a pool is in use. */
export const poolController: ControllerSpec<AddressPool> = {
  name: 'address-pools',
  watches: addressPoolKind,
  alsoOn: [
    {
      kind: serviceKind,
      keys: (service: Service, informers: InformerFactory) =>
        isServed(service) || addressesOf(service).length > 0
          ? informers
              .informer(addressPoolKind)
              .cache.list()
              .map(({ metadata }) => ({ name: metadata.name! }))
          : [],
    },
  ],
  workersMax: 1,
  reconciler: {
    async reconcile({ name }, pool, context) {
      if (!pool) return void countedAt(context).delete(name);
      const beganMs = context.clock.monotonicMs();
      const waitMs = (countedAt(context).get(name) ?? Number.NEGATIVE_INFINITY) + countEveryMs - beganMs;
      if (waitMs > 0) return { requeueAfterMs: waitMs };
      countedAt(context).set(name, beganMs);
      const spans = spansOf(pool.spec.addresses);
      const services = context.informers.informer(serviceKind).cache.list() as readonly Readonly<Service>[];
      const used = new Set(services.flatMap(addressesOf).filter((ip) => holds(spans, ip)));
      const status = { assigned: used.size, free: String(countOf(spans) - BigInt(used.size)) };
      if (pool.status?.assigned === status.assigned && pool.status.free === status.free) return;
      await context.client.update(addressPoolKind, { ...pool, status }, { subresource: 'status' });
    },
  },
};

const countedByProcess = new WeakMap<InformerFactory, Map<string, number>>();
function countedAt({ informers }: ReconcileContext): Map<string, number> {
  const known = countedByProcess.get(informers) ?? new Map<string, number>();
  countedByProcess.set(informers, known);
  return known;
}
