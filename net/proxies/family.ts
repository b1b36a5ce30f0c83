import { canonicalCidr, canonicalIp } from '../cidr.ts';
import { changeCommands, type Element, type Family, replaceText } from '../nft/ruleset.ts';
import type { Backend, ExternalAddress, Route } from '../service-proxy.ts';
import { nobody, type Remembered, thoseWithSeats } from './clients.ts';
import { seatsOf, siblingsOf, standingPicks } from './picks.ts';
import { SeatBook } from './seats.ts';
import { type Delta, RouteState } from './state.ts';
import { fixedElements, type RuleOptions, tableOf } from './table.ts';

export interface FamilyChange extends Pick<Delta, 'udpChanged' | 'tcpLost'> {
  readonly commands: readonly string[];
}

/** What the kernel has for one address family, and the text that brings it to what is wanted. */
export class FamilyRules {
  readonly family: Family;
  #state: RouteState;
  #chains = new Set(standingPicks);
  #fixed: readonly Element[] = [];

  constructor(
    family: Family,
    private readonly options: RuleOptions,
  ) {
    this.family = family;
    this.#state = new RouteState(new SeatBook(), options.serviceRanges);
  }
  get refused(): { id: string; reason: string }[] {
    return this.#state.refused();
  }
  routes(): Iterable<Route> {
    return this.#state.routes();
  }
  route(id: string): Route | undefined {
    return this.#state.route(id);
  }
  #fixedFor(podRanges: readonly string[]): Element[] {
    return fixedElements(this.family, this.options, podRanges);
  }

  /** The whole table, with whom the former one remembers. */
  replacement(routes: readonly Route[], podRanges: readonly string[], remembered: Remembered = nobody): string {
    const { book } = this.#state;
    for (const [key, seats] of remembered.seats) book.remember(key, seats);
    this.#state = new RouteState(book, this.options.serviceRanges);
    this.#state.fill(routes);
    this.#fixed = this.#fixedFor(podRanges);
    for (const name of this.#state.picks) for (const sibling of siblingsOf(name)) this.#chains.add(sibling);
    const clients = thoseWithSeats(remembered, seatsOf(this.#chains));
    const elements = [...this.#fixed, ...this.#state.elements(), ...clients];
    return replaceText(tableOf(this.family, this.options, this.#chains), elements);
  }

  /** Undefined when it takes a new chain: nft 1.0.6 cannot add one that uses the maps of a table loaded before. */
  change(routes: readonly Route[], podRanges: readonly string[]): FamilyChange | undefined {
    const nextFixed = this.#fixedFor(podRanges);
    const delta = this.#state.update(routes);
    if (delta.picks.some((name) => !this.#chains.has(name))) return undefined;
    const removed = [...minus(this.#fixed, nextFixed), ...delta.removed];
    const added = [...minus(nextFixed, this.#fixed), ...delta.added];
    this.#fixed = nextFixed;
    const { family, options } = this;
    return { ...delta, commands: changeCommands({ family, name: options.tableName }, { removed, added }) };
  }
}

const minus = (left: readonly Element[], right: readonly Element[]): Element[] =>
  left.filter((one) => !right.some((other) => other.in === one.in && other.key === one.key));

const canonicalAddress = ({ ip, sources }: ExternalAddress): ExternalAddress => ({
  ip: canonicalIp(ip) ?? ip,
  ...(sources ? { sources: sources.map((range) => canonicalCidr(range) ?? range) } : {}),
});
const written = new WeakMap<Route, Route>();
/** Its addresses as the kernel writes them; the same object for the same one. */
export function canonicalRoute(route: Route): Route {
  const isPlain = !route.virtual.ip.includes(':') && !route.external?.some(({ sources }) => sources);
  if (isPlain) return route;
  let found = written.get(route);
  if (!found) {
    const ip = (text: string): string => canonicalIp(text) ?? text;
    const list = (backends: readonly Backend[]) => backends.map((one) => ({ ...one, ip: ip(one.ip) }));
    const { virtual, backends, external, externalBackends, externalLocal, retained } = route;
    found = {
      ...route,
      virtual: { ...virtual, ip: ip(virtual.ip) },
      backends: list(backends),
      ...(external ? { external: external.map(canonicalAddress) } : {}),
      ...(externalBackends ? { externalBackends: list(externalBackends) } : {}),
      ...(externalLocal ? { externalLocal: list(externalLocal) } : {}),
      ...(retained ? { retained: list(retained) } : {}),
    };
    written.set(route, found);
  }
  return found;
}
