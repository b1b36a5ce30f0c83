import { type FilterChange, type FilterMatch, type FilterShape, familyOf, standingNames } from '../packet-filter.ts';

/** The first packet of a connection. */
export interface FilteredPacket {
  readonly saddr: string;
  readonly daddr: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp';
  readonly dport?: number;
  /** Addressed to this host itself. */
  readonly toHost?: boolean;
}
export interface FilterWorld {
  /** Whether the range (CIDR) holds the address. */
  contains(cidr: string, address: string): boolean;
}

/** The table as it stands after these changes: what the kernel would hold. Throws for what the kernel would refuse. */
export class WalkedFilter {
  readonly sets = new Map<string, Set<string>>();
  readonly #chains = new Map<string, FilterChange['chains'] extends ReadonlyMap<string, infer C> ? C : never>();

  constructor(
    readonly shape: Pick<FilterShape, 'localRanges'>,
    readonly world: FilterWorld,
  ) {
    for (const family of [4, 6] as const)
      for (const name of [
        standingNames.known(family),
        standingNames.self(family),
        standingNames.flooded(family),
        standingNames.guarded('in', family),
        standingNames.guarded('out', family),
      ])
        this.sets.set(name, new Set());
  }

  change(change: FilterChange): void {
    for (const name of change.setsAdded.keys()) {
      if (this.sets.has(name)) throw new Error(`the set ${name} is there already`);
      this.sets.set(name, new Set());
    }
    for (const [name, chain] of change.chains) this.#chains.set(name, chain);
    for (const [name, { removed, added }] of change.elements) {
      const set = this.sets.get(name);
      if (!set) throw new Error(`there is no set ${name}`);
      for (const element of removed) if (!set.delete(element)) throw new Error(`${element} is not in ${name}`);
      for (const element of added) set.add(element);
    }
    for (const name of change.chainsRemoved) if (!this.#chains.delete(name)) throw new Error(`no chain ${name}`);
    for (const name of change.setsRemoved) if (!this.sets.delete(name)) throw new Error(`no set ${name}`);
    this.#checkReferences();
  }
  #checkReferences(): void {
    const need = (there: boolean, name: string) => {
      if (!there) throw new Error(`${name} is named and not there`);
    };
    for (const chain of this.#chains.values())
      if (chain.type === 'guard') for (const name of chain.allow) need(this.#chains.has(name), name);
      else for (const match of chain.rules.flat()) if ('set' in match) need(this.sets.has(match.set), match.set);
    for (const family of [4, 6] as const)
      for (const direction of ['in', 'out'] as const)
        for (const element of this.sets.get(standingNames.guarded(direction, family))!)
          need(this.#chains.has(element.split(' : goto ')[1]!), element);
  }

  /** Every chain, to compare two tables. */
  chainText(): Record<string, string> {
    return Object.fromEntries([...this.#chains].map(([name, chain]) => [name, JSON.stringify(chain)]));
  }

  /** Whether a new connection gets through. */
  passes(packet: FilteredPacket): boolean {
    return this.#decide(packet, 'out') && (packet.toHost === true || this.#decide(packet, 'in'));
  }

  #decide(packet: FilteredPacket, direction: 'in' | 'out'): boolean {
    const address = direction === 'in' ? packet.daddr : packet.saddr;
    const family = familyOf(address);
    const held = (name: string, element: string) => this.sets.get(name)!.has(element);
    if (held(standingNames.self(family), `${packet.saddr} . ${packet.daddr}`)) return true;
    const isLocal = this.shape.localRanges().some((range) => this.world.contains(range, address));
    if (isLocal && !held(standingNames.known(family), address)) return false;
    const entry = [...this.sets.get(standingNames.guarded(direction, family))!].find((each) =>
      each.startsWith(`${address} : `),
    );
    if (entry) return this.#allows(entry.split(' : goto ')[1]!, packet);
    const flooded = [...this.sets.get(standingNames.flooded(family))!];
    return direction === 'out' || !flooded.some((range) => this.world.contains(range, packet.daddr));
  }
  #allows(name: string, packet: FilteredPacket): boolean {
    const chain = this.#chains.get(name)!;
    return chain.type === 'guard'
      ? chain.allow.some((each) => this.#allows(each, packet))
      : chain.rules.some((rule) => rule.every((match) => this.#holds(match, packet)));
  }
  #holds(match: FilterMatch, packet: FilteredPacket): boolean {
    if ('family' in match && match.family !== familyOf(packet.saddr)) return false;
    const port = packet.dport ?? 0;
    switch (match.type) {
      case 'member':
        return this.sets.get(match.set)!.has(packet[match.side]);
      case 'block': {
        const isIn = (cidr: string) => this.world.contains(cidr, packet[match.side]);
        return isIn(match.cidr) && !match.except.some(isIn);
      }
      case 'ports': {
        if (match.protocol !== packet.protocol) return false;
        return match.ranges.length === 0 || match.ranges.some(([first, last]) => port >= first && port <= last);
      }
      case 'endpoint':
        return this.sets.get(match.set)!.has(`${packet.daddr} . ${packet.protocol} . ${port}`);
    }
  }
}
