import type { Chain, Element, Family, Match, NamedSet, Rule, Table } from '../nft/ruleset.ts';
import { pickChains, seatsOf, stickySetName } from './picks.ts';

/**
 * Flat maps: the cost of a packet is a few hash lookups however many services there are, and a change touches only its own
 * elements. One table for each address family. A is short for (address, protocol, port).
 *
 *   services  A                → goto a chain that chooses, or to `external`
 *   endpoints (A, place)       → backend ip, port; the chain draws the place
 *   seats     (A, seat)        the same for services whose clients stay; sticky0, sticky1 … hold the clients of each seat
 *   near, far A                → of an external address that keeps clients' addresses: where those from pods and this host go, and the others
 *   absent    A                → nothing serves it here: refuse, or drop
 *   fenced, sources            addresses that only some may come to, and who may
 *   ports, portEndpoints, portSeats, nearPorts, farPorts, absentPorts: the same for node ports, without the address
 *   hairpin   (ip, ip) of every backend here: a pod that reaches itself must see another source, else the answer bypasses us
 */
export interface RuleOptions {
  readonly tableName: string;
  /** Ranges (CIDR) of this host's addresses on which node ports answer; absent, or none of a family: every address but loopback. */
  readonly nodePortRanges?: readonly string[];
  /** Virtual addresses of the cluster: what is sent to one without a route is refused instead of leaving by the default route. */
  readonly serviceRanges?: readonly string[];
  /** The bit of the packet mark that asks for masquerading. Default 0x4000, the one other Kubernetes proxies use. */
  readonly masqueradeBit?: number;
}
export const defaultMasqueradeBit = 0x4000;
/** Of one seat number, over all services; who finds no room does not stay. */
const stickyClientsMax = 65_536;
const address = 'daddr . proto . dport';
const port = 'proto . dport';
export const familyOf = (addressOrRange: string): Family => (addressOrRange.includes(':') ? 6 : 4);
const ofFamily = (family: Family, texts: readonly string[] = []): string[] =>
  texts.filter((text) => familyOf(text) === family);

/** The part of the table that does not depend on routes, and the chains that choose. */
export function tableOf(family: Family, options: RuleOptions, picks: Iterable<string>): Table {
  const names = [...picks];
  const toNodePort: readonly Match[] =
    ofFamily(family, options.nodePortRanges).length > 0
      ? [{ type: 'toThisHost' }, { type: 'in', fields: 'daddr', set: 'nodes' }]
      : [{ type: 'toThisHost' }];
  const bit = options.masqueradeBit ?? defaultMasqueradeBit;
  return {
    family,
    name: options.tableName,
    sets: [
      { name: 'pods', fields: 'saddr', interval: true },
      { name: 'virtual', fields: 'daddr', interval: true },
      { name: 'nodes', fields: 'daddr', interval: true },
      { name: 'fenced', fields: address },
      { name: 'sources', fields: 'daddr . proto . dport . saddr', interval: true },
      { name: 'hairpin', fields: 'saddr . daddr' },
      ...stickySets(seatsOf(names)),
    ],
    maps: [
      ...['services', 'near', 'far', 'absent'].map((name) => ({ name, fields: address, to: 'verdict' }) as const),
      ...['ports', 'nearPorts', 'farPorts', 'absentPorts'].map(
        (name) => ({ name, fields: port, to: 'verdict' }) as const,
      ),
      ...['endpoints', 'seats'].map((name) => ({ name, fields: address, to: 'endpoint' }) as const),
      ...['portEndpoints', 'portSeats'].map((name) => ({ name, fields: port, to: 'endpoint' }) as const),
    ],
    chains: [
      // Stick chains of one time share the chains of their seats.
      ...new Map(names.flatMap((name) => pickChains(name, bit)).map((chain) => [chain.name, chain])).values(),
      ...fixedChains(toNodePort, bit),
    ],
  };
}
export const stickySets = (seats: number): NamedSet[] =>
  Array.from({ length: seats }, (_unused, seat) => ({
    name: stickySetName(seat),
    fields: 'saddr . daddr . proto . dport',
    learnedMax: stickyClientsMax,
  }));

function fixedChains(toNodePort: readonly Match[], bit: number): Chain[] {
  const vmap = (map: string, when: readonly Match[] = []): Rule => ({
    when,
    do: { type: 'vmap', fields: map.endsWith('orts') ? port : address, map },
  });
  const fromPod: Match = { type: 'in', fields: 'saddr', set: 'pods' };
  // Who comes from here goes on as if by way of a load balancer and back: any backend will do.
  const external = (name: string, near: string, far: string): Chain => ({
    name,
    rules: [vmap(near, [fromPod]), vmap(near, [{ type: 'fromThisHost' }]), vmap(far)],
  });
  const fence: Rule[] = [
    {
      when: [
        { type: 'new' },
        { type: 'in', fields: address, set: 'fenced' },
        { type: 'in', fields: 'daddr . proto . dport . saddr', set: 'sources', not: true },
      ],
      do: { type: 'drop' },
    },
  ];
  const refuse: Chain = {
    name: 'refuse',
    rules: [
      { when: [{ type: 'tcp' }], do: { type: 'reject', with: 'tcp reset' } },
      { do: { type: 'reject', with: 'port-unreachable' } },
    ],
  };
  const refuseUnknown: Rule = {
    when: [{ type: 'in', fields: 'daddr', set: 'virtual' }],
    do: { type: 'goto', chain: 'refuse' },
  };
  return [
    refuse,
    external('external', 'near', 'far'),
    external('externalPort', 'nearPorts', 'farPorts'),
    { name: 'translate', rules: [vmap('services'), vmap('ports', toNodePort)] },
    { name: 'guard', rules: [vmap('absent'), vmap('absentPorts', toNodePort), refuseUnknown] },
    { name: 'fence', rules: fence },
    hooked('fenceIncoming', 'filter', 'prerouting', -110, 'fence'),
    hooked('fenceOutgoing', 'filter', 'output', -110, 'fence'),
    hooked('incoming', 'nat', 'prerouting', -100, 'translate'),
    hooked('outgoing', 'nat', 'output', -100, 'translate'),
    // After translation: what is still addressed to a virtual address has no backend.
    hooked('guardIncoming', 'filter', 'prerouting', -90, 'guard'),
    hooked('guardOutgoing', 'filter', 'output', -90, 'guard'),
    {
      name: 'leaving',
      hook: { type: 'nat', at: 'postrouting', priority: 100 },
      rules: [
        { when: [{ type: 'marked', bit }], do: { type: 'masquerade', clearBit: bit } },
        {
          when: [{ type: 'translated' }, { type: 'in', fields: 'saddr . daddr', set: 'hairpin' }],
          do: { type: 'masquerade' },
        },
      ],
    },
  ];
}

const hooked = (
  name: string,
  type: 'nat' | 'filter',
  at: 'prerouting' | 'output',
  priority: number,
  chain: string,
): Chain => ({
  name,
  hook: { type, at, priority },
  rules: [{ do: { type: 'jump', chain } }],
});

/** Elements that come from options and pod ranges. */
export function fixedElements(family: Family, options: RuleOptions, podRanges: readonly string[]): Element[] {
  const all: [string, readonly string[] | undefined][] = [
    ['pods', podRanges],
    ['virtual', options.serviceRanges],
    ['nodes', options.nodePortRanges],
  ];
  return all.flatMap(([set, ranges]) => ofFamily(family, ranges).map((key) => ({ in: set, key })));
}
