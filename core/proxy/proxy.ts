import { endpointSliceKind, type KubeObject, keyOf, keyText, serviceKind } from '#api';
import { type Clock, type Log, type MetricsPage, messageOf, Scope } from '#base';
import type { Client, InformerFactory } from '#client';
import type { Route, ServiceProxy } from '#net/service-proxy';
import type { EventRecorder } from '#sdk';
import { ProxyMetrics } from './metrics.ts';
import { routesOf, serviceNameLabel } from './routes.ts';

export interface ProxyOptions {
  readonly client: Client;
  readonly informers: InformerFactory;
  /** Stays in the caller's hands: stopping the loop leaves its rules in force. */
  readonly proxy: ServiceProxy;
  readonly nodeName: string;
  /** Pod addresses of the cluster (CIDR). */
  readonly podRanges: readonly string[];
  /** Something else stands behind `proxy` now: the table is applied again. */
  readonly onChange?: (handler: () => void) => Disposable;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventRecorder;
  /** Of the process; absent: nothing is counted. */
  readonly page?: MetricsPage;
}
const retryFirstMs = 100;
const retryMaxMs = 10_000;
/** Also without a change the table is applied this often: somebody may have flushed the host's rules. */
const resyncMs = 30_000;

/**
 * Services and EndpointSlices in, one route table out. Changes mark their service; the loop recomputes marked ones
 * and applies the whole table, so that many changes at once become one apply. Resolves after the first apply.
 */
export async function startProxy(options: ProxyOptions): Promise<AsyncDisposable> {
  const { proxy, clock, log } = options;
  const scope = new Scope();
  const services = options.informers.informer(serviceKind);
  const slices = options.informers.informer(endpointSliceKind);
  slices.addIndex('service', (slice) => [serviceOf(slice)].filter((key) => key !== undefined));
  const dirty = new Set<string>();
  const work = new Alarm(clock);
  const mark = (key: string) => {
    dirty.add(key);
    work.ring();
  };
  const markSlice = (slice: KubeObject) => {
    const key = serviceOf(slice);
    if (key !== undefined) mark(key);
  };
  scope.use(services.onChange((change) => mark(keyText(keyOf(change.object)))));
  scope.use(
    slices.onChange((change) => {
      markSlice(change.object);
      if (change.type === 'updated') markSlice(change.previous);
    }),
  );

  const changed = new Alarm(clock);
  const onChange = options.onChange?.(() => {
    changed.ring();
    work.ring();
  });
  if (onChange) scope.use(onChange);

  const routes = new Map<string, readonly Route[]>();
  const reported = new Map<string, string>();
  const recompute = (key: string) => {
    const [namespace, name] = key.split('/') as [string, string];
    const service = services.cache.get({ namespace, name });
    const next = service ? routesOf(service, slices.cache.byIndex('service', key), { name: options.nodeName }) : [];
    const former = routes.get(key);
    if (next.length === 0) routes.delete(key);
    else if (!former || !Bun.deepEquals(former, next)) routes.set(key, next); // unchanged ones stay the same objects: the proxy skips them
  };
  const metrics = options.page && new ProxyMetrics(options.page, clock, () => routes.size);
  const apply = async () => {
    work.hush();
    changed.hush();
    for (const key of dirty) recompute(key);
    dirty.clear();
    const applied = metrics?.begin();
    const { refused } = await proxy.apply({ routes: [...routes.values()].flat(), podRanges: options.podRanges });
    applied?.();
    report(options, (key) => services.cache.get(key), refused, reported);
  };
  const applyWithRetry = () =>
    retried(apply, { changed, log, signal: scope.signal, onFailure: () => metrics?.failed() });

  await Promise.all([services.synced, slices.synced]);
  for (const service of services.cache.list()) dirty.add(keyText(keyOf(service)));
  await applyWithRetry();
  const loop = (async () => {
    while (!scope.signal.aborted) {
      await work.sleep(resyncMs, scope.signal);
      await clock.soon(); // changes that arrived together are applied together
      if (!scope.signal.aborted) await applyWithRetry();
    }
  })();
  scope.defer(() => loop);
  return scope;
}

function serviceOf({ metadata }: KubeObject): string | undefined {
  const name = metadata.labels?.[serviceNameLabel];
  return name === undefined ? undefined : `${metadata.namespace}/${name}`;
}

/** Sleeps that a ring ends; one that came before is not lost. */
class Alarm {
  #ring = new AbortController();
  constructor(private readonly clock: Clock) {}
  ring(): void {
    this.#ring.abort();
  }
  /** What rang so far has been seen to. */
  hush(): void {
    if (this.#ring.signal.aborted) this.#ring = new AbortController();
  }
  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    await this.clock.sleep(ms, AbortSignal.any([this.#ring.signal, signal]));
    this.hush();
  }
}

/** `changed`: who answers is another, no reason to wait longer. */
async function retried(
  work: () => Promise<void>,
  {
    changed,
    log,
    signal,
    onFailure,
  }: Pick<ProxyOptions, 'log'> & { changed: Alarm; signal: AbortSignal; onFailure(): void },
): Promise<void> {
  for (let delayMs = retryFirstMs; !signal.aborted; delayMs = Math.min(delayMs * 2, retryMaxMs)) {
    try {
      return await work();
    } catch (error) {
      onFailure();
      log.error('service rules could not be applied; trying again', { error: messageOf(error), delayMs });
      await changed.sleep(delayMs, signal);
    }
  }
}

/** One event for each route and reason; it is told again when the reason changes or comes back. */
function report(
  options: Pick<ProxyOptions, 'events' | 'log' | 'nodeName'>,
  find: (key: { namespace: string; name: string }) => Readonly<KubeObject> | undefined,
  refused: readonly { id: string; reason: string }[],
  reported: Map<string, string>,
): void {
  const current = new Set(refused.map((one) => one.id));
  for (const id of reported.keys()) if (!current.has(id)) reported.delete(id);
  for (const { id, reason } of refused) {
    if (reported.get(id) === reason) continue;
    reported.set(id, reason);
    options.log.warn('a service port cannot be served', { id, reason });
    const [namespace, name] = id.slice(0, id.indexOf(':')).split('/') as [string, string];
    const service = find({ namespace, name });
    if (service)
      options.events.event(
        service,
        'Warning',
        'ServiceNotServed',
        `${id} is not served on ${options.nodeName}: ${reason}`,
      );
  }
}
