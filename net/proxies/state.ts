import type { Element } from '../nft/ruleset.ts';
import type { Route } from '../service-proxy.ts';
import { refusalOf } from './rules.ts';

interface Held {
  readonly route: Route;
  readonly elements: readonly Element[];
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
}

/**
 * What the kernel holds, by route. A route that is the same object as before costs one look-up;
 * a changed one costs its own elements. Elements that several routes share (hairpin) are counted.
 */
export class RouteState {
  readonly #elementsOf: (route: Route) => { elements: readonly Element[]; picks: readonly string[] };
  readonly #held = new Map<string, Held>();
  readonly #live = new Map<string, { element: Element; users: number }>();
  readonly #owners = new Map<string, string>();
  readonly #refused = new Map<string, string>();
  readonly #picks = new Set<string>();
  #round = 0;

  constructor(elementsOf: (route: Route) => { elements: readonly Element[]; picks: readonly string[] }) {
    this.#elementsOf = elementsOf;
  }
  get picks(): ReadonlySet<string> {
    return this.#picks;
  }
  refused(): { id: string; reason: string }[] {
    return [...this.#refused].map(([id, reason]) => ({ id, reason }));
  }
  *elements(): Iterable<Element> {
    for (const { element } of this.#live.values()) yield element;
  }
  *routes(): Iterable<Route> {
    for (const { route } of this.#held.values()) yield route;
  }

  /** Takes the whole wanted set; afterwards this state equals it, and the answer says what changed. */
  update(routes: readonly Route[]): Delta {
    const before: Touched = new Map();
    const { picks, udpChanged } = this.#update(routes, before);
    return { ...this.#difference(before), picks, udpChanged };
  }
  /** As update, for a state that nobody compares with a former one. */
  fill(routes: readonly Route[]): void {
    this.#update(routes, undefined);
  }

  #update(routes: readonly Route[], before: Touched | undefined): Pick<Delta, 'picks' | 'udpChanged'> {
    const round = ++this.#round;
    const changed: Route[] = [];
    let kept = 0;
    for (const route of routes) {
      const held = this.#held.get(route.id);
      if (held && (held.route === route || Bun.deepEquals(held.route, route))) {
        held.round = round;
        kept++;
      } else changed.push(route);
    }
    let udpChanged = false;
    const gone: Held[] = [];
    if (kept < this.#held.size) for (const held of this.#held.values()) if (held.round !== round) gone.push(held);
    for (const held of gone) {
      udpChanged ||= held.route.protocol === 'udp';
      this.#drop(held, before);
    }
    this.#refused.clear();
    const picks = new Set<string>();
    for (const route of changed) {
      const reason = refusalOf(route) ?? this.#conflictOf(route);
      if (reason !== undefined) {
        this.#refused.set(route.id, reason);
        continue;
      }
      udpChanged ||= route.protocol === 'udp';
      for (const pick of this.#take(route, round, before)) picks.add(pick);
    }
    for (const pick of picks) this.#picks.add(pick);
    return { picks: [...picks], udpChanged };
  }

  #conflictOf(route: Route): string | undefined {
    const owner = claimsOf(route)
      .map((claim) => this.#owners.get(claim))
      .find((id) => id !== undefined);
    return owner === undefined ? undefined : `its address or node port is already served for ${owner}`;
  }
  #take(route: Route, round: number, before: Touched | undefined): readonly string[] {
    const { elements, picks } = this.#elementsOf(route);
    for (const claim of claimsOf(route)) this.#owners.set(claim, route.id);
    for (const element of elements) {
      const id = `${element.in} ${element.key}`;
      const live = this.#live.get(id);
      if (before && !before.has(id)) before.set(id, live?.element);
      if (live) live.users++;
      else this.#live.set(id, { element, users: 1 });
    }
    this.#held.set(route.id, { route, elements, round });
    return picks;
  }
  #drop(held: Held, before: Touched | undefined): void {
    for (const claim of claimsOf(held.route)) this.#owners.delete(claim);
    for (const element of held.elements) {
      const id = `${element.in} ${element.key}`;
      const live = this.#live.get(id)!;
      if (before && !before.has(id)) before.set(id, live.element);
      if (--live.users === 0) this.#live.delete(id);
    }
    this.#held.delete(held.route.id);
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

const claimsOf = (route: Route): string[] => [
  `${route.virtual.ip} ${route.protocol} ${route.virtual.port}`,
  ...(route.nodePort === undefined ? [] : [`node ${route.protocol} ${route.nodePort}`]),
];
