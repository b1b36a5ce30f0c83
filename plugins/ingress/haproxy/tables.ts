import type { Backend, Routing } from '../model.ts';
import { defaultBodyBytesMax, defaultTimeouts } from '../model.ts';
import { classOf, isEndpoint, isHost, isPath, serverOf } from './names.ts';
import { fallbackRecord, type RecordWorld, recordOf } from './record.ts';
import { assignSlots, type Slots } from './slots.ts';

/** Key → value of one map of HAProxy's. */
export type Table = ReadonlyMap<string, string>;
export type TableName = 'routes' | 'timeouts';
export interface Server {
  readonly address: { readonly ip: string; readonly port: number };
  readonly isHttp2: boolean;
}
/** What the running program is to know, except of its structure and its certificates. */
export interface Tables {
  readonly maps: Readonly<Record<TableName, Table>>;
  /** Place → its servers by name. */
  readonly servers: ReadonlyMap<string, ReadonlyMap<string, Server>>;
}
export interface Rejected {
  readonly id: string;
  readonly reason: string;
}

/**
 * Keys of `routes`, whose longest beginning of what is looked for counts; `#` is in no path and in no name:
 * - `HOST/PATH/` for a prefix and `HOST/PATH/#` for an exact path, looked for in `HOST/PATH/#`: a prefix counts by elements, and
 *   an exact path is longer than any of them. HOST is `-` where no name is served.
 * - `HOST#` and, for a wildcard, `DOMAIN*#`: the host as paths have it.
 * - `-#`: what counts when nothing was found.
 * Of `timeouts`: `PLACE` → milliseconds until an answer, `PLACE=` → of a tunnel.
 */
export function tablesOf(
  routing: Routing,
  former: Slots,
  nowMs: number,
): { tables: Tables; slots: Slots; grown: boolean; rejected: Rejected[] } {
  const rejected: Rejected[] = [];
  const backends = routing.backends.filter((backend) => isSane(backend, rejected));
  const wanted = backends.map((backend) => ({ backend: backend.id, class: classOf(backend, isTuned(backend)) }));
  const { slots, grown } = assignSlots(former, wanted, nowMs);
  const servers = new Map<string, Map<string, Server>>();
  const timeouts = new Map<string, string>();
  for (const backend of backends) {
    const place = slots.places.get(backend.id)!;
    servers.set(place, serversOf(backend, rejected));
    if (!isTuned(backend)) continue;
    timeouts.set(place, String(Math.round(backend.timeouts.responseMs)));
    timeouts.set(`${place}=`, String(Math.round(backend.timeouts.tunnelMs)));
  }
  const byId = new Map(backends.map((backend) => [backend.id, backend]));
  const world: RecordWorld = {
    usualBodyBytesMax: defaultBodyBytesMax,
    isGrpc: (id) => byId.get(id)?.protocol === 'grpc',
    place(id) {
      const place = slots.places.get(id);
      return place !== undefined && servers.get(place)!.size > 0 ? place : undefined;
    },
  };
  const maps = { routes: routesOf(routing, world, rejected), timeouts };
  return { tables: { maps, servers }, slots, grown, rejected };
}

function routesOf(routing: Routing, world: RecordWorld, rejected: Rejected[]): Table {
  const table = new Map<string, string>();
  for (const { host, paths } of routing.hosts) {
    if (!isHost(host)) {
      rejected.push({ id: host.slice(0, 253), reason: 'no name of a host' });
      continue;
    }
    const key = host === '' ? '-' : host;
    for (const name of namesOf(host)) table.set(`${name}#`, key);
    for (const { match, routes } of paths) {
      const found = isPath(match.value)
        ? recordOf(routes, world)
        : { problem: 'its path holds characters that no request has' };
      if ('problem' in found) {
        for (const { id } of routes) rejected.push({ id, reason: found.problem });
        continue;
      }
      const path = `${key}${match.value === '/' && match.type === 'prefix' ? '' : match.value}/`;
      table.set(match.type === 'exact' ? `${path}#` : path, found.value);
    }
  }
  const fallback = routing.fallback ? fallbackRecord(routing.fallback, world) : { value: '~;a:404;b=0' };
  if ('problem' in fallback) rejected.push({ id: 'fallback', reason: fallback.problem });
  table.set('-#', 'value' in fallback ? fallback.value : '~;a:404;b=0');
  return table;
}

/** A name may end with a dot. */
function namesOf(host: string): string[] {
  if (host === '') return [];
  return host.startsWith('*.') ? [`${host.slice(2)}*`, `${host.slice(2)}.*`] : [host, `${host}.`];
}

const isTuned = ({ timeouts }: Backend): boolean =>
  timeouts.responseMs !== defaultTimeouts.responseMs || timeouts.tunnelMs !== defaultTimeouts.tunnelMs;

const timeoutMsMax = 24 * 3600 * 1000; // HAProxy counts in 32 bits
const retriesMax = 100;
function isSane(backend: Backend, rejected: Rejected[]): boolean {
  const { connectMs, responseMs, tunnelMs } = backend.timeouts;
  const times = [connectMs, responseMs, tunnelMs];
  const { connectRetries } = backend;
  const isRight =
    times.every((ms) => ms >= 1 && ms <= timeoutMsMax) && connectRetries >= 0 && connectRetries <= retriesMax;
  if (!isRight)
    rejected.push({ id: backend.id, reason: `time-outs are from 1 ms to a day, retries at most ${retriesMax}` });
  return isRight;
}

function serversOf(backend: Backend, rejected: Rejected[]): Map<string, Server> {
  const isHttp2 = backend.protocol !== 'http1';
  const good = backend.endpoints.filter(isEndpoint);
  if (good.length < backend.endpoints.length)
    rejected.push({ id: backend.id, reason: 'an endpoint has no proper address' });
  return new Map(good.map((address) => [serverOf(address), { address, isHttp2 }]));
}
