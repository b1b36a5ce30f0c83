import type { Action, Chain, Element, Field, Match, Pick, Table } from './ruleset.ts';

/** The first packet of a connection. */
export interface Packet {
  readonly from: 'network' | 'host';
  readonly saddr: string;
  readonly daddr: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly dport: number;
  /** What `numgen random` and the client's hash come to, before the modulus. */
  readonly random?: number;
  readonly clientHash?: number;
}
export interface Outcome {
  readonly verdict: 'delivered' | 'reset' | 'unreachable';
  readonly daddr: string;
  readonly dport: number;
  readonly masqueraded: boolean;
  /** Chains that were entered, in order. */
  readonly path: readonly string[];
}
export interface Machine {
  readonly hostAddresses: readonly string[];
  /** Of an interval set: whether it holds this key. */
  contains(set: string, key: string): boolean;
}

/** Sends a packet through the table as the kernel would, so that rules are tested without one. */
export function walk(table: Table, elements: Iterable<Element>, packet: Packet, machine: Machine): Outcome {
  const maps = new Map<string, Map<string, string>>();
  for (const element of elements) {
    let map = maps.get(element.in);
    if (!map) maps.set(element.in, (map = new Map()));
    map.set(element.key, element.value ?? '');
  }
  const state = { daddr: packet.daddr, dport: packet.dport, mark: 0, translated: false, masqueraded: false };
  const path: string[] = [];
  const chains = new Map(table.chains.map((chain) => [chain.name, chain]));
  const intervals = new Set(table.sets.filter((set) => set.interval).map((set) => set.name));

  const textOf = (fields: Field): string =>
    fields
      .split(' . ')
      .map((field) => {
        if (field === 'ip saddr') return packet.saddr;
        if (field === 'ip daddr') return state.daddr;
        return field === 'ip protocol' ? packet.protocol : String(state.dport);
      })
      .join(' . ');
  const indexOf = (pick: Pick): number =>
    Math.floor((pick.by === 'random' ? packet.random : packet.clientHash) ?? 0) % pick.of;
  const holds = (match: Match): boolean => {
    switch (match.type) {
      case 'in': {
        const key = textOf(match.fields);
        const found = intervals.has(match.set)
          ? machine.contains(match.set, key)
          : (maps.get(match.set)?.has(key) ?? false);
        return found !== (match.not ?? false);
      }
      case 'toThisHost':
        return machine.hostAddresses.includes(state.daddr) && !state.daddr.startsWith('127.');
      case 'tcp':
        return packet.protocol === 'tcp';
      case 'translated':
        return state.translated;
      case 'marked':
        return (state.mark & match.bit) === match.bit;
    }
  };
  type End = 'accept' | 'reset' | 'unreachable' | undefined;
  const act = (action: Action): End => {
    switch (action.type) {
      case 'vmap': {
        const verdict = maps.get(action.map)?.get(textOf(action.fields));
        return verdict === undefined ? undefined : (run(verdict.replace('goto ', '')) ?? 'accept');
      }
      case 'dnat': {
        const target = maps.get(action.map)?.get(`${textOf(action.fields)} . ${indexOf(action.pick)}`);
        if (target === undefined) return undefined;
        const [ip, port] = target.split(' . ');
        Object.assign(state, { daddr: ip, dport: Number(port), translated: true });
        return 'accept';
      }
      case 'jump':
        return run(action.chain);
      case 'goto':
        return run(action.chain) ?? 'accept';
      case 'mark':
        state.mark |= action.bit;
        return undefined;
      case 'masquerade':
        state.mark &= ~(action.clearBit ?? 0);
        state.masqueraded = true;
        return 'accept';
      case 'reject':
        return action.with === 'tcp reset' ? 'reset' : 'unreachable';
    }
  };
  function run(name: string): End {
    const chain = chains.get(name);
    if (!chain) throw new Error(`rule names chain ${name}, which the table does not have`);
    path.push(name);
    for (const rule of chain.rules) {
      if (!(rule.when ?? []).every(holds)) continue;
      const end = act(rule.do);
      if (end !== undefined) return end;
    }
    return undefined;
  }

  const hooked = (at: string): Chain[] =>
    table.chains.filter((chain) => chain.hook?.at === at).sort((a, b) => a.hook!.priority - b.hook!.priority);
  for (const at of [packet.from === 'network' ? 'prerouting' : 'output', 'postrouting'])
    for (const chain of hooked(at)) {
      const end = run(chain.name);
      if (end === 'reset' || end === 'unreachable')
        return { verdict: end, daddr: state.daddr, dport: state.dport, masqueraded: state.masqueraded, path };
    }
  return { verdict: 'delivered', daddr: state.daddr, dport: state.dport, masqueraded: state.masqueraded, path };
}
