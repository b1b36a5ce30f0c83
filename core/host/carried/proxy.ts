import { type Clock, type Log, PintleError } from '#base';
import type { Route, RouteTable, ServiceProxy } from '#net/service-proxy';
import type { ProxyAnswer } from '#sdk';
import type { NodeContributions } from './contributions.ts';

export interface CarriedProxyOptions {
  readonly own: ServiceProxy;
  readonly contributions: NodeContributions;
  readonly clock: Clock;
  readonly log: Log;
}
type Refused = readonly { readonly id: string; readonly reason: string }[];
const askMsMax = 10_000;
const affinityMsMax = 86_400_000;

/**
 * The service proxy of a node: its own, or what the plugin that provides one makes of the table. What a plugin answers is
 * checked and put in force by the node's own, whole or not at all, so that one takes the other's place without a gap. While
 * the plugin does not answer the last rules stay; when it is given up or gone the node's own table is back.
 */
export function createCarriedProxy(options: CarriedProxyOptions): ServiceProxy {
  return new CarriedProxy(options);
}

class CarriedProxy implements ServiceProxy {
  readonly name: string;
  #generation = 0;
  /** Who has answered since the start of this process. */
  #answered: string | undefined;
  /** Of the plugin whose rules are in force beside ours. */
  #byItself: string | undefined;
  #told = '';
  constructor(private readonly options: CarriedProxyOptions) {
    this.name = options.own.name;
  }

  async apply(table: RouteTable): Promise<{ readonly refused: Refused }> {
    const { own, contributions } = this.options;
    const sole = contributions.sole('proxies');
    const isUp = sole && sole.contributor.target.channel !== undefined && sole.contributor.target.isResponsive;
    // Services do not wait for a plugin that has not answered yet: its last rules, if there are some, would grow old.
    if (!sole || (!isUp && this.#answered !== sole.contributor.plugin)) {
      this.#tell(own.name);
      this.#answered = undefined;
      this.#byItself = undefined;
      return own.apply(table);
    }
    const { contributor, name } = sole;
    this.#generation = Math.max(this.#generation + 1, Math.floor(this.options.clock.now()));
    const asked = { name, table, generation: this.#generation };
    const said = await contributions.ask('proxies', name, 'proxy.apply', asked, askMsMax);
    const { routes, refused } = readAnswer(name, said, table);
    this.#tell(`${contributor.plugin}/${name}`);
    if (routes) {
      const done = await own.apply({ ...table, routes });
      this.#answered = contributor.plugin;
      this.#byItself = undefined;
      return { refused: [...refused, ...done.refused] };
    }
    if (contributor.isolation !== 'process')
      throw wrong(name, 'says nothing of routes, and what runs in a sandbox cannot put them in force by itself');
    if (this.#byItself !== contributor.plugin) await own.purge();
    this.#byItself = contributor.plugin;
    this.#answered = contributor.plugin;
    return { refused };
  }
  #tell(who: string): void {
    if (this.#told !== who) this.options.log.info('services are served by', { proxy: who });
    this.#told = who;
  }
  purge(): Promise<void> {
    return this.options.own.purge();
  }
  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.options.own[Symbol.asyncDispose]();
  }
}

const wrong = (name: string, why: string): PintleError =>
  new PintleError('ROUTES_REFUSED', `service proxy ${name} ${why}`, 'tell its author; the last rules stay in force');

const backendText = ({ ip, port, local }: Route['backends'][number]): string => `${ip}:${port}${local ? ' here' : ''}`;

/** What may be in force: routes of the table, with backends that the table has for them. Throws ROUTES_REFUSED with the first that may not. Pure. */
export function readAnswer(
  name: string,
  said: unknown,
  { routes: given }: RouteTable,
): { readonly routes?: readonly Route[]; readonly refused: Refused } {
  const { routes, refused = [] } = (said ?? {}) as { readonly [K in keyof ProxyAnswer]: unknown };
  const byId = new Map(given.map((route) => [route.id, route]));
  if (!Array.isArray(refused)) throw wrong(name, 'gives no list of what it refuses');
  const reasons = refused.map((one: unknown) => {
    const { id, reason } = (one ?? {}) as { id?: unknown; reason?: unknown };
    if (!byId.has(String(id))) throw wrong(name, `refuses ${say(id)}, which is not in the table`);
    return { id: String(id), reason: String(reason).slice(0, 256) };
  });
  if (routes === undefined) return { refused: reasons };
  if (!Array.isArray(routes)) throw wrong(name, 'gives no list of routes');
  const seen = new Set<string>();
  const kept = routes.map((one: unknown) => {
    const route = (one ?? {}) as Partial<Route>;
    const own = byId.get(String(route.id));
    if (!own) throw wrong(name, `has a route ${say(route.id)}, which is not in the table`);
    if (seen.has(own.id)) throw wrong(name, `has the route ${own.id} twice`);
    seen.add(own.id);
    return routeOf(name, own, route);
  });
  return { routes: kept, refused: reasons };
}

/** Where it begins is the table's to say; of where it leads the plugin may leave out some, and it may keep clients where they are. */
function routeOf(name: string, own: Route, said: Partial<Route>): Route {
  const among = (chosen: unknown, of: Route['backends'], what: string): Route['backends'] => {
    const known = new Map(of.map((one) => [backendText(one), one]));
    if (!Array.isArray(chosen)) throw wrong(name, `gives no ${what} for ${own.id}`);
    return chosen.map((one: unknown) => {
      const found = known.get(backendText((one ?? {}) as Route['backends'][number]));
      if (!found) throw wrong(name, `sends ${own.id} to ${say(one)}, which is none of its ${what}`);
      return found;
    });
  };
  const { backends, affinityTtlMs } = said;
  const isTtl = Number.isSafeInteger(affinityTtlMs) && affinityTtlMs! > 0 && affinityTtlMs! <= affinityMsMax;
  if (affinityTtlMs !== undefined && !isTtl)
    throw wrong(name, `gives ${own.id} an affinity of ${say(affinityTtlMs)} ms`);
  const { affinityTtlMs: _ttl, externalBackends, externalLocal, ...rest } = own;
  const outside = { externalBackends, externalLocal };
  const kept = Object.entries(outside).flatMap(([key, list]) =>
    list ? [[key, among(said[key as keyof typeof outside] ?? list, list, 'backends for those from outside')]] : [],
  );
  return {
    ...rest,
    backends: among(backends, own.backends, 'backends'),
    ...Object.fromEntries(kept),
    ...(affinityTtlMs === undefined ? {} : { affinityTtlMs }),
  };
}
const say = (value: unknown): string => JSON.stringify(value)?.slice(0, 80) ?? 'nothing';
