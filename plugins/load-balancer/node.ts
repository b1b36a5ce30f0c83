import {
  type EndpointSlice,
  endpointSliceKind,
  messageOf,
  type NodePart,
  type NodePartContext,
  nodeKind,
  serviceKind,
} from '#sdk';
import { addressPoolKind } from './kinds.ts';
import { heldBy, serviceOf } from './plan-announce.ts';

const retryMs = { first: 500, most: 10_000 };
const lookAgainMs = 30_000; // somebody may have taken an address away
const tellAgainMs = 1_000; // neighbours that missed the first word
const timesTold = 2;
const spacingMs = 50; // changes that arrive together are looked at together

/** This host answers for the load balancer addresses that fall to it. */
export default {
  start(context: NodePartContext) {
    const { announcer } = context.network;
    if (!announcer) {
      context.log.info('addresses of load balancers are not announced: that needs root and a network for pods');
      return;
    }
    const done = announce(context, announcer).catch((error: unknown) => {
      if (!context.scope.signal.aborted) context.log.error('announcing addresses ended', { error: messageOf(error) });
    });
    context.scope.defer(async () => {
      await done;
      await announcer.purge(); // another host takes them over at once
    });
  },
} satisfies NodePart;

async function announce(
  { informers, nodeName, scope, clock, log, underlay }: NodePartContext,
  announcer: NonNullable<NodePartContext['network']['announcer']>,
): Promise<void> {
  const { signal } = scope;
  const services = informers.informer(serviceKind);
  const slices = informers.informer(endpointSliceKind);
  const nodes = informers.informer(nodeKind);
  const pools = informers.informer(addressPoolKind);
  using handlers = new DisposableStack();
  let isChanged = true;
  let wake = () => {};
  const changed = () => {
    isChanged = true;
    wake();
  };
  for (const informer of [services, slices, nodes, pools]) handlers.use(informer.onChange(changed));
  const stopped = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  await Promise.race([Promise.all([services, slices, nodes, pools].map(({ synced }) => synced)), stopped]);
  const slicesOf = (namespace: string, name: string) =>
    (slices.cache.list(namespace) as readonly Readonly<EndpointSlice>[]).filter((one) => serviceOf(one) === name);
  let holding = { ips: 'unknown', untilMs: 0, told: 0, delayMs: retryMs.first as number };
  while (!signal.aborted) {
    isChanged = false;
    const cluster = { services: services.cache.list(), nodes: nodes.cache.list(), pools: pools.cache.list(), slicesOf };
    const ips = heldBy(nodeName, cluster);
    const isNew = ips.join() !== holding.ips;
    if (isNew || clock.monotonicMs() >= holding.untilMs) {
      const told = isNew ? 0 : holding.told + 1;
      const waitMs = told < timesTold && ips.length > 0 ? tellAgainMs : lookAgainMs;
      if (isNew && (ips.length > 0 || holding.ips !== 'unknown'))
        log.info('this host answers for addresses of load balancers', { ips: ips.join() || 'none' });
      try {
        await announcer.hold(ips, underlay?.nodeIp ?? '');
        holding = { ips: ips.join(), untilMs: clock.monotonicMs() + waitMs, told, delayMs: retryMs.first };
      } catch (error) {
        const { delayMs } = holding;
        log.error('addresses could not be announced; trying again', { ips, error: messageOf(error), delayMs });
        const untilMs = clock.monotonicMs() + delayMs;
        holding = { ips: ips.join(), untilMs, told: -1, delayMs: Math.min(delayMs * 2, retryMs.most) };
      }
    }
    await clock.sleep(spacingMs, signal);
    if (isChanged || signal.aborted) continue;
    const woken = new AbortController();
    wake = () => woken.abort();
    const waitMs = Math.max(0, holding.untilMs - clock.monotonicMs());
    await clock.sleep(waitMs, AbortSignal.any([signal, woken.signal]));
    wake = () => {};
  }
}
