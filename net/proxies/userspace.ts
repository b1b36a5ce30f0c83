import { type Clock, type Log, messageOf, silentLog, systemClock } from '#base';
import { cidrContains } from '../cidr.ts';
import type { Backend, Route, RouteTable, ServiceProxy } from '../service-proxy.ts';
import { canonicalRoute } from './family.ts';
import { externalBackendsOf, refusalOf } from './rules.ts';
import { type Listener, listenTcp, listenUdp, type Relay } from './sockets.ts';

export interface UserspaceProxyOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  /** Open TCP connections of the whole proxy; more are closed at once. Default 1,024. */
  readonly connectionsMax?: number;
  /** Where node ports listen. Default 127.0.0.1. */
  readonly nodeAddresses?: readonly string[];
}
const stickyClientsMax = 4_096; // for each route; the oldest is forgotten first

interface Served {
  route: Route;
  next: number;
  readonly listeners: Listener[];
  /** External addresses that it does not listen on. */
  readonly without: string[];
  readonly sticky: Map<string, { target: string; untilMs: number }>;
}

/** Service addresses without kernel rules: sockets on the virtual addresses (127.x without root), backends in turn. A restart cuts connections. */
export const createUserspaceProxy = (options: UserspaceProxyOptions): ServiceProxy => new UserspaceProxy(options);

class UserspaceProxy implements ServiceProxy {
  readonly name = 'userspace';
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #nodeAddresses: readonly string[];
  readonly #served = new Map<string, Served>();
  readonly #budget: { open: number; readonly max: number };
  #tail: Promise<unknown> = Promise.resolve();

  constructor({ clock, log, connectionsMax = 1_024, nodeAddresses = ['127.0.0.1'] }: UserspaceProxyOptions) {
    this.#clock = clock ?? systemClock;
    this.#log = log ?? silentLog;
    this.#nodeAddresses = nodeAddresses;
    this.#budget = { open: 0, max: connectionsMax };
  }

  apply(table: RouteTable): ReturnType<ServiceProxy['apply']> {
    const result = this.#tail.then(() => this.#apply(table));
    this.#tail = result.catch(() => {});
    return result;
  }
  async purge(): Promise<void> {
    await this.#tail;
    for (const id of [...this.#served.keys()]) this.#stop(id);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.purge();
  }

  async #apply(table: RouteTable): ReturnType<ServiceProxy['apply']> {
    const refused: { id: string; reason: string }[] = [];
    const places = (route: Route) => placesOf(route, this.#nodeAddresses);
    const routes = table.routes.map(canonicalRoute).filter((route) => places(route).length > 0);
    const wanted = new Map(routes.map((route) => [route.id, route]));
    for (const [id, entry] of [...this.#served]) {
      const next = wanted.get(id);
      if (!next || placesText(entry.route, places(entry.route)) !== placesText(next, places(next))) this.#stop(id);
    }
    for (const route of routes) {
      const { id } = route;
      const entry = this.#served.get(id);
      const reason = refusalOf(route) ?? (route.protocol === 'sctp' ? 'SCTP needs the nftables proxy' : undefined);
      if (reason !== undefined) {
        this.#stop(id);
        refused.push({ id, reason });
      } else if (entry) entry.route = route;
      else await this.#start(route).catch((error: unknown) => refused.push({ id, reason: messageOf(error) }));
      for (const why of this.#served.get(id)?.without ?? []) refused.push({ id, reason: why });
    }
    return { refused };
  }
  async #start(route: Route): Promise<void> {
    const entry: Served = { route, next: 0, listeners: [], without: [], sticky: new Map() };
    const listen = route.protocol === 'udp' ? listenUdp : listenTcp;
    this.#served.set(route.id, entry);
    for (const place of placesOf(route, this.#nodeAddresses)) {
      try {
        entry.listeners.push(await listen(place, this.#relay(entry, place)));
      } catch (error) {
        const reason = bindReason(place, error);
        if (place.isExternal) {
          entry.without.push(reason); // it belongs to some other host: that is no reason to serve nobody
          continue;
        }
        this.#stop(route.id);
        throw new Error(reason, { cause: error });
      }
    }
  }
  #relay(entry: Served, place: ServedPlace): Relay {
    const backends = (): readonly Backend[] => place.backendsOf(entry.route);
    return {
      choose: (client) => (place.admits(entry.route, client) ? this.#choose(entry, client, backends()) : undefined),
      alive: (target) => backends().some((one) => textOf(one) === target),
      budget: this.#budget,
      clock: this.#clock,
      log: this.#log,
    };
  }
  #choose(entry: Served, client: string, backends: readonly Backend[]): Backend | undefined {
    const { affinityTtlMs } = entry.route;
    const nowMs = this.#clock.now();
    const former = affinityTtlMs === undefined ? undefined : entry.sticky.get(client);
    const kept = former && former.untilMs > nowMs ? backends.find((one) => textOf(one) === former.target) : undefined;
    const backend = kept ?? backends[entry.next++ % Math.max(1, backends.length)];
    if (backend && affinityTtlMs !== undefined) {
      entry.sticky.delete(client);
      entry.sticky.set(client, { target: textOf(backend), untilMs: nowMs + affinityTtlMs });
      if (entry.sticky.size > stickyClientsMax) entry.sticky.delete(entry.sticky.keys().next().value!);
    }
    return backend;
  }
  #stop(id: string): void {
    for (const listener of this.#served.get(id)?.listeners ?? []) listener.close();
    this.#served.delete(id);
  }
}
const textOf = ({ ip, port }: Backend): string => `${ip} ${port}`;

/** All who come are from outside or from here: where the two differ, backends of this host are those that a policy means. */
const outsideBackendsOf = (route: Route): readonly Backend[] => route.externalLocal ?? externalBackendsOf(route);
interface ServedPlace {
  readonly hostname: string;
  readonly port: number;
  readonly isExternal?: boolean;
  backendsOf(now: Route): readonly Backend[];
  /** Whether that client may come. */
  admits(now: Route, client: string): boolean;
}

/** Where a route listens. Without a backend connections are refused: that is what a closed socket does. */
function placesOf(route: Route, nodeAddresses: readonly string[]): ServedPlace[] {
  const { virtual, nodePort, external = [] } = route;
  const outside = { backendsOf: outsideBackendsOf, admits: () => true };
  const all: ServedPlace[] = [
    { hostname: virtual.ip, port: virtual.port, backendsOf: (now) => now.backends, admits: () => true },
    ...external.map(({ ip }) => ({
      ...outside,
      hostname: ip,
      port: virtual.port,
      isExternal: true,
      admits: (now: Route, client: string) => isAdmitted(now, ip, client),
    })),
    ...(nodePort === undefined ? [] : nodeAddresses).map((hostname) => ({ ...outside, hostname, port: nodePort! })),
  ];
  return all.filter((place) => place.backendsOf(route).length > 0);
}
function isAdmitted(route: Route, ip: string, client: string): boolean {
  const sources = route.external?.find((one) => one.ip === ip)?.sources;
  return !sources || sources.some((range) => cidrContains(range, client));
}
const placesText = ({ protocol }: Route, places: readonly ServedPlace[]): string =>
  places.map(({ hostname, port }) => `${protocol} ${hostname} ${port}`).join();
function bindReason({ hostname, port }: Pick<ServedPlace, 'hostname' | 'port'>, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'EACCES') return `ports below 1024 need root (${hostname}:${port})`;
  return `cannot listen on ${hostname}:${port}: ${code} ${messageOf(error)}`;
}
