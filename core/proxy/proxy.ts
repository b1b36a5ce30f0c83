import { endpointSliceKind, type KubeObject, keyOf, keyText, nodeKind, serviceKind } from '#api';
import { type Clock, type Log, type MetricsPage, messageOf, Scope } from '#base';
import type { Client, Informer, InformerFactory } from '#client';
import type { Route, ServiceProxy } from '#net/service-proxy';
import type { EventRecorder } from '#sdk';
import type { EndpointSlice, Node, Service } from '../api/gen/types.ts';
import type { NodeFacts } from './endpoints.ts';
import { type HealthCheck, HealthChecks, localReady } from './health-checks.ts';
import { ProxyMetrics } from './metrics.ts';
import { clusterAddressesOf, keepsClients, routesOf, serviceNameLabel } from './routes.ts';

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
  /** Addresses on which health check node ports are answered; absent: all of this host. */
  readonly nodePortAddresses?: () => readonly string[];
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

/** A change that is not in force after this long: load balancers had better ask another host. Upstream's: twice its period. */
const staleMsMax = 60_000;

/**
 * Services and EndpointSlices in, one route table out. Changes mark their service; the loop recomputes marked ones
 * and applies the whole table, so that many changes at once become one apply. Resolves after the first apply.
 */
export async function startProxy(options: ProxyOptions): Promise<AsyncDisposable> {
  const loop = new ProxyLoop(options);
  await loop.start();
  return loop;
}

class ProxyLoop implements AsyncDisposable {
  readonly #scope = new Scope();
  readonly #services: Informer<Service & KubeObject>;
  readonly #slices: Informer<EndpointSlice & KubeObject>;
  readonly #nodes: Informer<Node & KubeObject>;
  readonly #dirty = new Set<string>();
  readonly #work: Alarm;
  readonly #changed: Alarm;
  readonly #routes = new Map<string, readonly Route[]>();
  readonly #checks = new Map<string, HealthCheck>();
  readonly #health: HealthChecks;
  readonly #reported = new Map<string, string>();
  readonly #metrics: ProxyMetrics | undefined;
  #node: NodeFacts;
  /** When the first of the attempts failed that have not succeeded since. */
  #failingSinceMs: number | undefined;

  constructor(private readonly options: ProxyOptions) {
    const { informers, clock, nodeName, page } = options;
    this.#services = informers.informer(serviceKind);
    this.#slices = informers.informer(endpointSliceKind);
    this.#nodes = informers.informer(nodeKind, { fieldSelector: `metadata.name=${nodeName}` });
    this.#node = { name: nodeName };
    this.#work = new Alarm(clock);
    this.#changed = new Alarm(clock);
    this.#metrics = page && new ProxyMetrics(page, clock, () => this.#routes.size);
    this.#health = this.#scope.use(
      new HealthChecks({ isHealthy: () => this.#isHealthy(), addresses: options.nodePortAddresses }),
    );
  }

  async start(): Promise<void> {
    const scope = this.#scope;
    this.#slices.addIndex('service', (slice) => [serviceOf(slice)].filter((key) => key !== undefined));
    scope.use(this.#services.onChange(({ object }) => this.#mark(keyText(keyOf(object)))));
    scope.use(
      this.#slices.onChange((change) => {
        this.#mark(serviceOf(change.object));
        if (change.type === 'updated') this.#mark(serviceOf(change.previous));
      }),
    );
    scope.use(this.#nodes.onChange(() => this.#lookAtNode()));
    const onChange = this.options.onChange?.(() => {
      this.#changed.ring();
      this.#work.ring();
    });
    if (onChange) scope.use(onChange);
    await Promise.all([this.#services.synced, this.#slices.synced, this.#nodes.synced]);
    this.#lookAtNode();
    this.#markAll();
    await this.#applyWithRetry();
    const running = this.#run();
    scope.defer(() => running);
  }
  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#scope[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { signal } = this.#scope;
    while (!signal.aborted) {
      await this.#work.sleep(resyncMs, signal);
      await this.options.clock.soon(); // changes that arrived together are applied together
      if (!signal.aborted) await this.#applyWithRetry();
    }
  }
  #mark(key: string | undefined): void {
    if (key === undefined) return;
    this.#dirty.add(key);
    this.#work.ring();
  }
  #markAll(): void {
    for (const service of this.#services.cache.list()) this.#mark(keyText(keyOf(service)));
  }
  /** Its zone and addresses decide for every service. */
  #lookAtNode(): void {
    const node = this.#nodes.cache.get({ name: this.#node.name });
    const next: NodeFacts = {
      name: this.#node.name,
      zone: node?.metadata.labels?.[zoneLabel],
      addresses: (node?.status?.addresses ?? []).map(({ address }) => address),
    };
    if (Bun.deepEquals(next, this.#node)) return;
    this.#node = next;
    this.#markAll();
  }

  #recompute(key: string): void {
    const [namespace, name] = key.split('/') as [string, string];
    const service = this.#services.cache.get({ namespace, name });
    const slices = service ? this.#slices.cache.byIndex('service', key) : [];
    const next = service ? routesOf(service, slices, this.#node) : [];
    const former = this.#routes.get(key);
    if (next.length === 0) this.#routes.delete(key);
    else if (!former || !Bun.deepEquals(former, next)) this.#routes.set(key, next); // unchanged ones stay the same objects: the proxy skips them
    const check = service && healthCheckOf(service, slices, this.#node.name);
    if (check) this.#checks.set(key, check);
    else this.#checks.delete(key);
  }
  async #apply(): Promise<void> {
    this.#work.hush();
    this.#changed.hush();
    for (const key of this.#dirty) this.#recompute(key);
    this.#dirty.clear();
    const applied = this.#metrics?.begin();
    const { proxy, podRanges } = this.options;
    const { refused } = await proxy.apply({ routes: [...this.#routes.values()].flat(), podRanges });
    applied?.();
    this.#failingSinceMs = undefined;
    const unchecked = this.#health.sync(this.#checks);
    this.#report([
      ...refused.map(({ id, reason }): Trouble => ({ key: id.slice(0, id.indexOf(':')), id, reason })),
      ...[...unchecked].map(([key, reason]): Trouble => ({ key, id: `${key} health check`, reason, isCheck: true })),
    ]);
  }
  #applyWithRetry(): Promise<void> {
    const { log, clock } = this.options;
    const onFailure = () => {
      this.#failingSinceMs ??= clock.monotonicMs();
      this.#metrics?.failed();
    };
    return retried(() => this.#apply(), { changed: this.#changed, log, signal: this.#scope.signal, onFailure });
  }
  #isHealthy(): boolean {
    const sinceMs = this.#failingSinceMs;
    return sinceMs === undefined || this.options.clock.monotonicMs() - sinceMs < staleMsMax;
  }

  /** One event for each trouble and reason; it is told again when the reason changes or comes back. */
  #report(troubles: readonly Trouble[]): void {
    const { log, events, nodeName } = this.options;
    const current = new Set(troubles.map(({ id }) => id));
    for (const id of this.#reported.keys()) if (!current.has(id)) this.#reported.delete(id);
    for (const { key, id, reason, isCheck } of troubles) {
      if (this.#reported.get(id) === reason) continue;
      this.#reported.set(id, reason);
      log.warn('a service port cannot be served', { id, reason });
      const [namespace, name] = key.split('/') as [string, string];
      const service = this.#services.cache.get({ namespace, name });
      if (!service) continue;
      const port = service.spec?.healthCheckNodePort;
      if (isCheck) {
        const text = `node ${nodeName} failed to start healthcheck "${key}" on port ${port}: ${reason}`;
        events.event(service, 'Warning', 'FailedToStartServiceHealthcheck', text);
      } else events.event(service, 'Warning', 'ServiceNotServed', `${id} is not served on ${nodeName}: ${reason}`);
    }
  }
}
interface Trouble {
  /** namespace/name of the service. */
  readonly key: string;
  readonly id: string;
  readonly reason: string;
  readonly isCheck?: boolean;
}
const zoneLabel = 'topology.kubernetes.io/zone';

function healthCheckOf(
  service: Readonly<Service & KubeObject>,
  slices: readonly Readonly<EndpointSlice>[],
  nodeName: string,
): HealthCheck | undefined {
  const { spec, metadata } = service;
  if (spec?.type !== 'LoadBalancer' || !spec.healthCheckNodePort || !keepsClients(spec)) return undefined;
  const families = clusterAddressesOf(service).map((ip) => (ip.includes(':') ? 6 : 4));
  if (families.length === 0) return undefined;
  const local = localReady(slices, families, nodeName);
  return { namespace: metadata.namespace ?? '', name: metadata.name ?? '', port: spec.healthCheckNodePort, local };
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
