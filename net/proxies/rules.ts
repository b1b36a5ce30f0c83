import { canonicalCidr, canonicalIp, cidrContains, disjointCidrs } from '../cidr.ts';
import type { Element } from '../nft/ruleset.ts';
import type { Backend, Route } from '../service-proxy.ts';
import { type Choice, chainName, farOffset, type PickScope, seatCountMax } from './picks.ts';
import { SeatBook } from './seats.ts';
import { familyOf } from './table.ts';

/** Backends of connections to the node port and external addresses, from pods and this host at least. */
export const externalBackendsOf = (route: Route): readonly Backend[] => route.externalBackends ?? route.backends;
const ttlSecondsOf = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000));

/** What one route puts into the maps; `picks` are the chains that it needs, `seatKeys` what it has in the book. */
export function elementsOf(
  route: Route,
  book: SeatBook = new SeatBook(),
): { readonly elements: Element[]; readonly picks: string[]; readonly seatKeys: string[] } {
  const placed = new Placement(route, book);
  const { protocol, virtual, nodePort, external = [], externalLocal } = route;
  const near = externalBackendsOf(route);
  placed.choose('services', 'pick', `${virtual.ip} . ${protocol} . ${virtual.port}`, route.backends);
  for (const { ip, sources } of external) {
    const key = `${ip} . ${protocol} . ${virtual.port}`;
    placed.outside(['services', 'external', 'near', 'far', 'absent'], ['outPick', 'pick', 'farPick'], key, near);
    if (!sources) continue;
    placed.elements.push({ in: 'fenced', key });
    for (const range of disjointCidrs(sources)) placed.elements.push({ in: 'sources', key: `${key} . ${range}` });
  }
  if (nodePort !== undefined)
    placed.outside(
      ['ports', 'externalPort', 'nearPorts', 'farPorts', 'absentPorts'],
      ['nodePick', 'nearNodePick', 'farNodePick'],
      `${protocol} . ${nodePort}`,
      near,
    );
  const all = [...route.backends, ...near, ...(externalLocal ?? [])];
  for (const ip of new Set(all.filter(({ local }) => local).map((one) => one.ip)))
    placed.elements.push({ in: 'hairpin', key: `${ip} . ${ip}` });
  return placed;
}

type OutsideMaps = readonly [first: string, chain: string, near: string, far: string, absent: string];
type OutsideScopes = readonly [hidden: PickScope, near: PickScope, far: PickScope];
const placesMax = farOffset - 1;

class Placement {
  readonly elements: Element[] = [];
  readonly picks: string[] = [];
  readonly seatKeys: string[] = [];
  constructor(
    private readonly route: Route,
    private readonly book: SeatBook,
  ) {}

  /** `key` of `map` leads to a choice among these; nothing, where there is none of them. */
  choose(map: string, scope: PickScope, key: string, backends: readonly Backend[]): void {
    if (backends.length === 0) {
      if (map === 'services') this.elements.push({ in: 'absent', key, value: this.#missing() });
      return;
    }
    const isPort = map.endsWith('orts');
    const offset = scope.startsWith('far') ? farOffset : 0;
    const texts = backends.map(({ ip, port }) => `${ip} . ${port}`);
    const { affinityTtlMs } = this.route;
    const seatKey = `${key} . ${offset}`;
    if (affinityTtlMs !== undefined) this.seatKeys.push(seatKey);
    const places = affinityTtlMs === undefined ? texts.slice(0, placesMax) : this.book.assign(seatKey, texts);
    const choice: Choice =
      affinityTtlMs === undefined
        ? { by: 'random', of: places.length }
        : { by: 'client', of: Math.min(places.length, seatCountMax), ttlSeconds: ttlSecondsOf(affinityTtlMs) };
    const name = chainName(scope, choice);
    this.picks.push(name);
    this.elements.push({ in: map, key, value: `goto ${name}` });
    const into =
      affinityTtlMs === undefined ? (isPort ? 'portEndpoints' : 'endpoints') : isPort ? 'portSeats' : 'seats';
    places.forEach((value, index) => {
      this.elements.push({ in: into, key: `${key} . ${offset + index}`, value });
    });
  }
  /** An address or a port that those from outside use. */
  outside(
    [first, chain, near, far, absent]: OutsideMaps,
    [hidden, close, distant]: OutsideScopes,
    key: string,
    backends: readonly Backend[],
  ): void {
    const { externalLocal } = this.route;
    const isNoneHere = (externalLocal ?? backends).length === 0;
    if (isNoneHere) this.elements.push({ in: absent, key, value: this.#missing() });
    if (backends.length === 0 && isNoneHere) return;
    if (!externalLocal) return this.choose(first, hidden, key, backends);
    this.elements.push({ in: first, key, value: `goto ${chain}` });
    this.choose(near, close, key, backends);
    this.choose(far, distant, key, externalLocal);
  }
  #missing(): string {
    return this.route.hasOthers ? 'drop' : 'goto refuse';
  }
}

/** Why this route cannot be served, or undefined. Everything that reaches nft as text is checked here. */
export function refusalOf(route: Route): string | undefined {
  const { virtual, nodePort, external = [], backends, externalBackends = [], externalLocal = [] } = route;
  if (!isAddress(virtual.ip)) return `virtual address ${virtual.ip} is no address`;
  const family = familyOf(virtual.ip);
  const all = [...backends, ...externalBackends, ...externalLocal];
  const ports = [virtual.port, nodePort ?? 1, ...all.map((backend) => backend.port)];
  const badPort = ports.find((value) => !Number.isInteger(value) || value < 1 || value > 65_535);
  if (badPort !== undefined) return `port ${badPort} is not in 1-65535`;
  const isOurs = (ip: string): boolean => isAddress(ip) && familyOf(ip) === family;
  const badAddress = [...all, ...external].find(({ ip }) => !isOurs(ip));
  if (badAddress) return `${badAddress.ip} is not an address of the family of ${virtual.ip}`;
  const ranges = external.flatMap(({ sources = [] }) => sources);
  const badRange = ranges.find((range) => canonicalCidr(range) !== range || familyOf(range) !== family);
  return badRange === undefined ? undefined : `source range ${badRange} is not a range of the family of ${virtual.ip}`;
}
const isAddress = (text: string): boolean => canonicalIp(text) === text;

/** External addresses that belong to the cluster's own services are nobody's to take. */
export const isStolen = (ip: string, serviceRanges: readonly string[] = []): boolean =>
  serviceRanges.some((range) => cidrContains(range, ip));
