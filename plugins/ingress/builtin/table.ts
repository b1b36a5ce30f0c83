import type { Action, Backend, Condition, Forward, PathRoutes, Route, Routing } from '../model.ts';

/** A routing made ready for look-ups: the cost of one depends on the request's own length, not on how many routes there are. */
export interface Table {
  readonly routing: Routing;
  find(host: string, path: string, has: (condition: Condition) => boolean): Route | undefined;
  /** Which of its targets is next, by weight; undefined when none of them has endpoints. */
  next(action: Forward): string | undefined;
  backendOf(id: string): Backend | undefined;
}
interface Paths {
  readonly exact: ReadonlyMap<string, readonly Route[]>;
  readonly prefixes: ReadonlyMap<string, readonly Route[]>;
  readonly prefixBytesMax: number;
}

export function compile(routing: Routing): Table {
  const hosts = new Map(routing.hosts.map(({ host, paths }) => [host, pathsOf(paths)]));
  const backends = new Map(routing.backends.map((backend) => [backend.id, backend]));
  const served = new Set(routing.backends.filter(({ endpoints }) => endpoints.length > 0).map(({ id }) => id));
  const turns = new Map<Forward, Turns>();
  for (const action of actionsOf(routing)) if (action.type === 'forward') turns.set(action, turnsOf(action, served));
  return {
    routing,
    find(host, path, has) {
      const paths = hosts.get(host) ?? hosts.get(wildcardOf(host)) ?? hosts.get('');
      const routes = paths && routesAt(paths, path);
      return routes?.find(({ conditions }) => !conditions || conditions.every(has));
    },
    next(action) {
      const own = turns.get(action);
      return own && takeTurn(own);
    },
    backendOf: (id) => backends.get(id),
  };
}

function* actionsOf({ hosts, fallback }: Routing): Generator<Action> {
  if (fallback) yield fallback;
  for (const { paths } of hosts) for (const { routes } of paths) for (const { action } of routes) yield action;
}

const wildcardOf = (host: string): string => {
  const dot = host.indexOf('.');
  return dot < 1 ? '' : `*${host.slice(dot)}`;
};

function pathsOf(paths: readonly PathRoutes[]): Paths {
  const of = (type: 'exact' | 'prefix') =>
    new Map(paths.filter(({ match }) => match.type === type).map(({ match, routes }) => [match.value, routes]));
  const prefixes = of('prefix');
  const prefixBytesMax = Math.max(0, ...[...prefixes.keys()].map(({ length }) => length));
  return { exact: of('exact'), prefixes, prefixBytesMax };
}

/** Exact, else the longest prefix that ends at an element's end. */
function routesAt({ exact, prefixes, prefixBytesMax }: Paths, path: string): readonly Route[] | undefined {
  const found = exact.get(path);
  if (found) return found;
  if (prefixes.size === 0) return undefined;
  // No prefix is longer than the longest one, so that a path of nothing but slashes costs no more than another.
  let end = path.length;
  if (end > prefixBytesMax) end = path[prefixBytesMax] === '/' ? prefixBytesMax : path.lastIndexOf('/', prefixBytesMax);
  while (end > 0) {
    const routes = prefixes.get(path.slice(0, end));
    if (routes) return routes;
    end = path.lastIndexOf('/', end - 1);
  }
  return prefixes.get('/');
}

/** Targets in turn, each as often as it weighs, spread evenly: a tenth for the canary is every tenth request, not ten in a row. */
interface Turns {
  readonly targets: { readonly backend: string; readonly weight: number; credit: number }[];
  readonly total: number;
}
const turnsOf = ({ targets }: Forward, served: ReadonlySet<string>): Turns => {
  const able = targets.filter(({ backend }) => served.has(backend)).map((target) => ({ ...target, credit: 0 }));
  return { targets: able, total: able.reduce((sum, { weight }) => sum + weight, 0) };
};
/** Smooth weighted round robin: who has waited longest for its share goes first. */
function takeTurn({ targets, total }: Turns): string | undefined {
  if (targets.length < 2) return targets[0]?.backend;
  let best = targets[0]!;
  for (const target of targets) {
    target.credit += target.weight;
    if (target.credit > best.credit) best = target;
  }
  best.credit -= total;
  return best.backend;
}
