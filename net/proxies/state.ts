import type { Element } from '../nft/ruleset.ts';
import type { Backend, Route } from '../service-proxy.ts';
import { elementsOf, externalBackendsOf, isStolen, refusalOf } from './rules.ts';
import { SeatBook } from './seats.ts';

interface Held {
  /** As it was given. */
  readonly route: Route;
  /** As it is served: without the external addresses that it cannot have. */
  readonly served: Route;
  readonly elements: readonly Element[];
  readonly seatKeys: readonly string[];
  round: number;
}
/** What was held before, of every element that an update touched. */
type Touched = Map<string, Element | undefined>;
export interface Delta {
  readonly removed: readonly Element[];
  readonly added: readonly Element[];
  /** Chains that the added elements name. */
  readonly picks: readonly string[];
  readonly udpChanged: boolean;
  /** TCP routes of which a backend is not there any more, not even for those who have a connection to it. */
  readonly tcpLost: readonly Route[];
}
type Changes = Omit<Delta, 'removed' | 'added'>;

/**
 * What the kernel holds of one address family, by route. A route that is the same object as before costs one look-up;
 * a changed one costs its own elements. Elements that several routes share (hairpin) are counted.
 */
export class RouteState {
  readonly #held = new Map<string, Held>();
  readonly #live = new Map<string, { element: Element; users: number }>();
  readonly #owners = new Map<string, string>();
  readonly #refused = new Map<string, string>();
  /** Routes that are not served on every address. */
  readonly #partly = new Map<string, string>();
  readonly #picks = new Set<string>();
  #round = 0;

  /** `serviceRanges`: no route may have an external address in there. */
  constructor(
    readonly book: SeatBook = new SeatBook(),
    private readonly serviceRanges: readonly string[] = [],
  ) {}
  get picks(): ReadonlySet<string> {
    return this.#picks;
  }
  refused(): { id: string; reason: string }[] {
    return [...this.#refused, ...this.#partly].map(([id, reason]) => ({ id, reason }));
  }
  *elements(): Iterable<Element> {
    for (const { element } of this.#live.values()) yield element;
  }
  *routes(): Iterable<Route> {
    for (const { served } of this.#held.values()) yield served;
  }
  route(id: string): Route | undefined {
    return this.#held.get(id)?.served;
  }

  /** Takes the whole wanted set; afterwards this state equals it, and the answer says what changed. */
  update(routes: readonly Route[]): Delta {
    const before: Touched = new Map();
    const changes = this.#update(routes, before);
    return { ...this.#difference(before), ...changes };
  }
  /** As update, for a state that nobody compares with a former one. */
  fill(routes: readonly Route[]): void {
    this.#update(routes, undefined);
  }

  #update(routes: readonly Route[], before: Touched | undefined): Changes {
    const round = ++this.#round;
    const changed: Route[] = [];
    let kept = 0;
    for (const route of routes) {
      const held = this.#held.get(route.id);
      const isSame = held && (held.route === route || Bun.deepEquals(held.route, route));
      // Whoever has the address that this one could not have may be gone by now.
      if (isSame && (this.#partly.size === 0 || !this.#partly.has(route.id))) {
        held.round = round;
        kept++;
      } else changed.push(route);
    }
    const gone = new Map<string, Held>();
    if (kept < this.#held.size) for (const [id, held] of this.#held) if (held.round !== round) gone.set(id, held);
    for (const held of gone.values()) this.#drop(held, before);
    this.#refused.clear();
    const picks = new Set<string>();
    for (const route of changed) for (const pick of this.#admit(route, round, before)) picks.add(pick);
    for (const pick of picks) this.#picks.add(pick);
    for (const [id, { seatKeys }] of gone) {
      const still = this.#held.get(id)?.seatKeys ?? [];
      for (const key of seatKeys) if (!still.includes(key)) this.book.forget(key);
    }
    return {
      picks: [...picks],
      udpChanged: [...gone.values(), ...changed].some((one) => ('served' in one ? one.served : one).protocol === 'udp'),
      tcpLost: [...gone].flatMap(([id, { served }]) => {
        const now = this.#held.get(id)?.served; // a service that is gone leaves connections alone
        return now && served.protocol === 'tcp' && hasLost(served, now) ? [now] : [];
      }),
    };
  }

  /** Takes the route, or says why not. The virtual address and the node port are all or nothing; external addresses may be refused one by one. */
  #admit(route: Route, round: number, before: Touched | undefined): readonly string[] {
    const taken = ownClaimsOf(route).filter((claim) => this.#owners.has(claim));
    const holders = new Set(taken.map((claim) => this.#held.get(this.#owners.get(claim)!)!));
    const owner = [...holders].find(({ served }) => ownClaimsOf(served).some((claim) => taken.includes(claim)));
    const isTaken = owner && `its address or node port is already served for ${owner.route.id}`;
    const reason = refusalOf(route) ?? isTaken;
    if (reason !== undefined) {
      this.#refused.set(route.id, reason);
      return [];
    }
    // Whoever has it as an external address only gives it back.
    for (const holder of holders) this.#drop(holder, before);
    const picks = this.#admitAs(route, round, before);
    return [...picks, ...[...holders].flatMap((holder) => this.#admit(holder.route, round, before))];
  }
  #admitAs(route: Route, round: number, before: Touched | undefined): readonly string[] {
    const reasons: string[] = [];
    const external = route.external?.filter(({ ip }) => {
      const other = this.#owners.get(claimOf(route, ip));
      if (other !== undefined) reasons.push(`${ip} is already served for ${other}`);
      const stolen = isStolen(ip, this.serviceRanges);
      if (stolen) reasons.push(`${ip} is for the cluster's own services`);
      return other === undefined && !stolen;
    });
    const served = reasons.length > 0 ? { ...route, external } : route;
    if (reasons.length > 0) this.#partly.set(route.id, reasons.join('; '));
    return this.#take({ route, served, round }, before);
  }
  #take(held: Omit<Held, 'elements' | 'seatKeys'>, before: Touched | undefined): readonly string[] {
    const { elements, picks, seatKeys } = elementsOf(held.served, this.book);
    for (const claim of claimsOf(held.served)) this.#owners.set(claim, held.route.id);
    for (const element of elements) {
      const id = `${element.in} ${element.key}`;
      const live = this.#live.get(id);
      if (before && !before.has(id)) before.set(id, live?.element);
      if (live) live.users++;
      else this.#live.set(id, { element, users: 1 });
    }
    this.#held.set(held.route.id, { ...held, elements, seatKeys });
    return picks;
  }
  #drop(held: Held, before: Touched | undefined): void {
    for (const claim of claimsOf(held.served)) this.#owners.delete(claim);
    for (const element of held.elements) {
      const id = `${element.in} ${element.key}`;
      const live = this.#live.get(id)!;
      if (before && !before.has(id)) before.set(id, live.element);
      if (--live.users === 0) this.#live.delete(id);
    }
    this.#held.delete(held.route.id);
    this.#partly.delete(held.route.id);
  }
  #difference(before: ReadonlyMap<string, Element | undefined>): Pick<Delta, 'removed' | 'added'> {
    const removed: Element[] = [];
    const added: Element[] = [];
    for (const [id, old] of before) {
      const now = this.#live.get(id)?.element;
      if (old && now && old.value === now.value) continue;
      if (old) removed.push(old);
      if (now) added.push(now);
    }
    return { removed, added };
  }
}

const claimOf = ({ protocol, virtual }: Route, ip: string): string => `${ip} ${protocol} ${virtual.port}`;
const ownClaimsOf = (route: Route): string[] => [
  claimOf(route, route.virtual.ip),
  ...(route.nodePort === undefined ? [] : [`node ${route.protocol} ${route.nodePort}`]),
];
const claimsOf = (route: Route): string[] => [
  ...ownClaimsOf(route),
  ...(route.external ?? []).map(({ ip }) => claimOf(route, ip)),
];

/** Every backend of which connections go on. */
export const liveBackendsOf = (route: Route): readonly Backend[] => [
  ...route.backends,
  ...externalBackendsOf(route),
  ...(route.externalLocal ?? []),
  ...(route.retained ?? []),
];
const hasLost = (before: Route, now: Route): boolean => {
  const live = new Set(liveBackendsOf(now).map(({ ip, port }) => `${ip} ${port}`));
  return liveBackendsOf(before).some(({ ip, port }) => !live.has(`${ip} ${port}`));
};
