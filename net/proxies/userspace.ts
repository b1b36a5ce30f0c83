import { type Clock, type Log, messageOf, silentLog, systemClock } from '#base';
import type { Route, RouteTable, ServiceProxy } from '../service-proxy.ts';
import { nodePortBackendsOf, refusalOf } from './rules.ts';
import { type Listener, listenTcp, listenUdp } from './sockets.ts';

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
  readonly sticky: Map<string, { target: string; untilMs: number }>;
}

/** Service addresses without kernel rules: sockets on the virtual addresses (127.x without root), backends in turn. A restart cuts connections. */
export function createUserspaceProxy(options: UserspaceProxyOptions): ServiceProxy {
  const { clock = systemClock, log = silentLog, connectionsMax = 1_024, nodeAddresses = ['127.0.0.1'] } = options;
  const served = new Map<string, Served>();
  const budget = { open: 0, max: connectionsMax };

  const choose = (
    entry: Served,
    client: string,
    backends: Route['backends'],
  ): Route['backends'][number] | undefined => {
    const { affinityTtlMs } = entry.route;
    const former = affinityTtlMs === undefined ? undefined : entry.sticky.get(client);
    const kept =
      former && former.untilMs > clock.now()
        ? backends.find((one) => `${one.ip} ${one.port}` === former.target)
        : undefined;
    const backend = kept ?? backends[entry.next++ % Math.max(1, backends.length)];
    if (backend && affinityTtlMs !== undefined) {
      entry.sticky.delete(client);
      entry.sticky.set(client, { target: `${backend.ip} ${backend.port}`, untilMs: clock.now() + affinityTtlMs });
      if (entry.sticky.size > stickyClientsMax) entry.sticky.delete(entry.sticky.keys().next().value!);
    }
    return backend;
  };
  const stop = (id: string) => {
    for (const listener of served.get(id)?.listeners ?? []) listener.close();
    served.delete(id);
  };
  async function start(route: Route): Promise<void> {
    const entry: Served = { route, next: 0, listeners: [], sticky: new Map() };
    const listen = route.protocol === 'udp' ? listenUdp : listenTcp;
    const places = placesOf(route, nodeAddresses);
    served.set(route.id, entry);
    try {
      for (const place of places)
        entry.listeners.push(
          await listen(place, {
            choose: (client) => choose(entry, client, place.backendsOf(entry.route)),
            alive: (target) => place.backendsOf(entry.route).some((one) => `${one.ip} ${one.port}` === target),
            budget,
            clock,
            log,
          }),
        );
    } catch (error) {
      stop(route.id);
      throw error;
    }
  }
  async function applyNow(table: RouteTable): ReturnType<ServiceProxy['apply']> {
    const refused: { id: string; reason: string }[] = [];
    const wanted = new Map(table.routes.filter(isServed).map((route) => [route.id, route]));
    for (const [id, entry] of [...served]) {
      const next = wanted.get(id);
      if (!next || needsNewSockets(entry.route, next)) stop(id);
    }
    for (const route of wanted.values()) {
      const entry = served.get(route.id);
      const reason = refusalOf(route) ?? (route.protocol === 'sctp' ? 'SCTP needs the nftables proxy' : undefined);
      if (reason !== undefined) {
        stop(route.id);
        refused.push({ id: route.id, reason });
      } else if (entry) entry.route = route;
      else
        await start(route).catch((error: unknown) => refused.push({ id: route.id, reason: bindReason(route, error) }));
    }
    return { refused };
  }
  let tail: Promise<unknown> = Promise.resolve();
  const closeAll = async () => {
    await tail;
    for (const id of [...served.keys()]) stop(id);
  };
  return {
    name: 'userspace',
    apply(table) {
      const result = tail.then(() => applyNow(table));
      tail = result.catch(() => {});
      return result;
    },
    purge: closeAll,
    [Symbol.asyncDispose]: closeAll,
  };
}

const isOpen = (backends: Route['backends']): boolean => backends.length > 0;
const isServed = (route: Route): boolean => isOpen(route.backends) || isOpen(nodePortBackendsOf(route));
const needsNewSockets = (a: Route, b: Route): boolean =>
  a.protocol !== b.protocol ||
  a.virtual.ip !== b.virtual.ip ||
  a.virtual.port !== b.virtual.port ||
  a.nodePort !== b.nodePort ||
  isOpen(a.backends) !== isOpen(b.backends) ||
  isOpen(nodePortBackendsOf(a)) !== isOpen(nodePortBackendsOf(b));

/** Where a route listens. Without a backend connections are refused: that is what a closed socket does. */
function placesOf(route: Route, nodeAddresses: readonly string[]) {
  const virtual = { hostname: route.virtual.ip, port: route.virtual.port, backendsOf: (now: Route) => now.backends };
  const isNodeOpen = route.nodePort !== undefined && isOpen(nodePortBackendsOf(route));
  const nodePorts = (isNodeOpen ? nodeAddresses : []).map((hostname) => ({
    hostname,
    port: route.nodePort!,
    backendsOf: nodePortBackendsOf,
  }));
  return [...(isOpen(route.backends) ? [virtual] : []), ...nodePorts];
}
function bindReason(route: Route, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'EACCES') return `ports below 1024 need root (${route.virtual.ip}:${route.virtual.port})`;
  return `cannot listen on ${route.virtual.ip}:${route.virtual.port}: ${code} ${messageOf(error)}`;
}
