import type { Action, Chain, Element, Field, Match, Pick, Table } from './ruleset.ts';

/** The first packet of a connection. */
export interface Packet {
  readonly from: 'network' | 'host';
  readonly saddr: string;
  readonly daddr: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly dport: number;
  /** What `numgen random` comes to, before the modulus. */
  readonly random?: number;
}
export interface Outcome {
  readonly verdict: 'delivered' | 'reset' | 'unreachable' | 'dropped';
  readonly daddr: string;
  readonly dport: number;
  readonly masqueraded: boolean;
  /** Chains that were entered, in order. */
  readonly path: readonly string[];
  /** What rules added to sets, and for how long. */
  readonly learned: readonly { readonly in: string; readonly key: string; readonly ttlSeconds: number }[];
}
export interface Machine {
  readonly hostAddresses: readonly string[];
  /** Of an interval set: whether it holds this key. */
  contains(set: string, key: string): boolean;
}

/** Sends a packet through the table as the kernel would, so that rules are tested without one. */
export const walk = (table: Table, elements: Iterable<Element>, packet: Packet, machine: Machine): Outcome =>
  new Walk(table, elements, packet, machine).run();

type End = 'accept' | 'reset' | 'unreachable' | 'dropped' | undefined;

class Walk {
  readonly #maps = new Map<string, Map<string, string>>();
  readonly #chains: ReadonlyMap<string, Chain>;
  readonly #intervals: ReadonlySet<string>;
  readonly #state;
  readonly #path: string[] = [];
  readonly #learned: Outcome['learned'][number][] = [];

  constructor(
    private readonly table: Table,
    elements: Iterable<Element>,
    private readonly packet: Packet,
    private readonly machine: Machine,
  ) {
    for (const element of elements) {
      const map = this.#maps.get(element.in) ?? new Map<string, string>();
      this.#maps.set(element.in, map.set(element.key, element.value ?? ''));
    }
    this.#state = { daddr: packet.daddr, dport: packet.dport, mark: 0, translated: false, masqueraded: false };
    this.#chains = new Map(table.chains.map((chain) => [chain.name, chain]));
    this.#intervals = new Set(table.sets.filter((set) => set.interval).map((set) => set.name));
  }

  run(): Outcome {
    const hooked = (at: string): Chain[] =>
      this.table.chains.filter((chain) => chain.hook?.at === at).sort((a, b) => a.hook!.priority - b.hook!.priority);
    const first = this.packet.from === 'network' ? 'prerouting' : 'output';
    for (const chain of [...hooked(first), ...hooked('postrouting')]) {
      const end = this.#chain(chain.name);
      if (end !== undefined && end !== 'accept') return this.#outcome(end);
    }
    return this.#outcome('delivered');
  }
  #outcome(verdict: Outcome['verdict']): Outcome {
    const { daddr, dport, masqueraded } = this.#state;
    return { verdict, daddr, dport, masqueraded, path: this.#path, learned: this.#learned };
  }

  #chain(name: string): End {
    const chain = this.#chains.get(name);
    if (!chain) throw new Error(`rule names chain ${name}, which the table does not have`);
    this.#path.push(name);
    for (const rule of chain.rules) {
      if (!(rule.when ?? []).every((match) => this.#holds(match))) continue;
      const end = this.#act(rule.do);
      if (end !== undefined) return end;
    }
    return undefined;
  }
  #textOf(fields: Field): string {
    return fields
      .split(' . ')
      .map((field) => {
        if (field === 'saddr') return this.packet.saddr;
        if (field === 'daddr') return this.#state.daddr;
        return field === 'proto' ? this.packet.protocol : String(this.#state.dport);
      })
      .join(' . ');
  }
  #indexOf({ of, offset = 0 }: Pick): number {
    return offset + (Math.floor(this.packet.random ?? 0) % of);
  }
  #holds(match: Match): boolean {
    const { machine, packet } = this;
    switch (match.type) {
      case 'in': {
        const key = this.#textOf(match.fields);
        const found = this.#intervals.has(match.set)
          ? machine.contains(match.set, key)
          : (this.#maps.get(match.set)?.has(key) ?? false);
        return found !== (match.not ?? false);
      }
      case 'toThisHost':
        return machine.hostAddresses.includes(this.#state.daddr) && !/^(127\.|::1$)/.test(this.#state.daddr);
      case 'fromThisHost':
        return machine.hostAddresses.includes(packet.saddr);
      case 'new':
        return true;
      case 'tcp':
        return packet.protocol === 'tcp';
      case 'translated':
        return this.#state.translated;
      case 'marked':
        return (this.#state.mark & match.bit) === match.bit;
    }
  }
  #act(action: Action): End {
    switch (action.type) {
      case 'vmap': {
        const verdict = this.#maps.get(action.map)?.get(this.#textOf(action.fields));
        if (verdict === 'drop') return 'dropped';
        return verdict === undefined ? undefined : (this.#chain(verdict.replace('goto ', '')) ?? 'accept');
      }
      case 'dnat': {
        const key = `${this.#textOf(action.fields)} . ${this.#indexOf(action.pick)}`;
        const target = this.#maps.get(action.map)?.get(key);
        if (target === undefined) return undefined;
        const [ip, port] = target.split(' . ');
        Object.assign(this.#state, { daddr: ip, dport: Number(port), translated: true });
        return 'accept';
      }
      case 'spread':
        return this.#chain(action.chains[this.#indexOf({ of: action.chains.length })]!) ?? 'accept';
      case 'learn':
        this.#learned.push({ in: action.set, key: this.#textOf(action.fields), ttlSeconds: action.ttlSeconds });
        return undefined;
      case 'drop':
        return 'dropped';
      case 'jump':
        return this.#chain(action.chain);
      case 'goto':
        return this.#chain(action.chain) ?? 'accept';
      case 'mark':
        this.#state.mark |= action.bit;
        return undefined;
      case 'masquerade':
        this.#state.mark &= ~(action.clearBit ?? 0);
        this.#state.masqueraded = true;
        return 'accept';
      case 'reject':
        return action.with === 'tcp reset' ? 'reset' : 'unreachable';
    }
  }
}
