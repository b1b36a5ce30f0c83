import type { Exec } from '#base';
import { listJson, runBatch } from './batch.ts';

/** Where packets to a destination go. */
export interface WantedRoute {
  /** CIDR as the kernel writes it. */
  readonly destination: string;
  readonly device: string;
  /** Of either family. */
  readonly via?: string;
  /** The next hop is on the device whatever its addresses say. */
  readonly onlink?: boolean;
  /** The source address of this host's own packets. */
  readonly source?: string;
}
interface RouteRow {
  readonly dst: string;
  readonly dev?: string;
  readonly gateway?: string;
  readonly via?: { readonly host: string };
  readonly prefsrc?: string;
  readonly metric?: number;
  readonly flags?: readonly string[];
}
export interface RouteChanges {
  readonly set: readonly { readonly destination: string; readonly isNew: boolean }[];
  readonly refused: ReadonlyMap<string, string>;
}
/** Marks our routes for people (`ip route show proto 87`); among them a metric tells whose they are. */
const protocol = 87;

/** What `ip route replace DESTINATION …` takes. Pure. */
export function routeText(route: WantedRoute): string {
  const otherFamily = route.via !== undefined && route.via.includes(':') !== route.destination.includes(':');
  return [
    ...(route.via === undefined ? [] : ['via', ...(otherFamily ? ['inet6'] : []), route.via]),
    'dev',
    route.device,
    ...(route.onlink ? ['onlink'] : []),
    ...(route.source ? ['src', route.source] : []),
  ].join(' ');
}

/** The routes with one metric, as `ip -j route show` lists them. Pure. */
export function readRoutes(rows: readonly RouteRow[], metric: number): Map<string, string> {
  const found = new Map<string, string>();
  for (const row of rows) {
    if (row.metric !== metric || !row.dev) continue;
    const destination = row.dst.includes('/') ? row.dst : `${row.dst}/${row.dst.includes(':') ? 128 : 32}`;
    const via = row.gateway ?? row.via?.host;
    found.set(
      destination,
      routeText({
        destination,
        device: row.dev,
        ...(via === undefined ? {} : { via }),
        ...(row.flags?.includes('onlink') ? { onlink: true } : {}),
        ...(row.prefsrc ? { source: row.prefsrc } : {}),
      }),
    );
  }
  return found;
}

/** The routes of one owner. Remembers what it set, so that a change costs one process and no listing. */
export class RouteTable {
  readonly #exec: Exec;
  readonly #metric: number;
  #present: Map<string, string> | undefined;

  constructor(exec: Exec, metric: number) {
    this.#exec = exec;
    this.#metric = metric;
  }

  /** Forgets what it set: the next apply() reads the machine. */
  forget(): void {
    this.#present = undefined;
  }

  /** Exactly these routes. A refusal has the kernel's reason by destination. */
  async apply(wanted: readonly WantedRoute[]): Promise<RouteChanges> {
    const present = (this.#present ??= await this.#read());
    const texts = new Map(wanted.map((route) => [route.destination, routeText(route)]));
    const set = [...texts].filter(([destination, text]) => present.get(destination) !== text);
    const gone = [...present.keys()].filter((destination) => !texts.has(destination));
    const mark = `proto ${protocol} metric ${this.#metric}`;
    const failures = await runBatch(this.#exec, 'ip', [
      ...set.map(([destination, text]) => `route replace ${destination} ${text} ${mark}`),
      ...gone.map((destination) => `route delete ${destination} ${mark}`),
    ]);
    const done = set.map(([destination]) => ({ destination, isNew: !present.has(destination) }));
    for (const [destination, text] of set) present.set(destination, text);
    for (const destination of gone) present.delete(destination);
    if (failures.size > 0) this.#present = undefined; // what stands now is to be read
    const refused = [...failures].flatMap(([place, reason]) => (set[place] ? [[set[place][0], reason] as const] : []));
    return { set: done.filter((_, place) => !failures.has(place)), refused: new Map(refused) };
  }

  async #read(): Promise<Map<string, string>> {
    const list = (family: string) =>
      listJson<RouteRow>(this.#exec, ['ip', '-j', family, 'route', 'show', 'proto', String(protocol)]);
    const rows = await Promise.all([list('-4'), list('-6')]);
    return readRoutes(rows.flat(), this.#metric);
  }
}
