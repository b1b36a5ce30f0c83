import { isIpv4 } from '../cidr.ts';
import type { Chain, Element, Pick, Rule, Table } from '../nft/ruleset.ts';
import type { Route } from '../service-proxy.ts';

/**
 * Flat maps: the cost of a packet is two hash lookups however many services there are, and a change touches only its own elements.
 *
 *   services  (virtual ip, protocol, port)         → goto pickN, N = number of backends
 *   endpoints (virtual ip, protocol, port, index)  → backend ip, port; pickN draws the index
 *   ports, portEndpoints                           the same for node ports, without the address
 *   refused, refusedPorts                          nothing serves it: reset or port unreachable
 *   hairpin   (ip, ip) of every backend here: a pod that reaches itself must see another source, else the answer bypasses us
 */
export interface RuleOptions {
  readonly tableName: string;
  /** Where node ports answer; absent: every address of the host but loopback. */
  readonly nodeAddresses?: readonly string[];
  /** Virtual addresses of the cluster: what is sent to one without a route is refused instead of leaving by the default route. */
  readonly serviceRanges?: readonly string[];
  /** The bit of the packet mark that asks for masquerading. Default 0x4000, the one other Kubernetes proxies use. */
  readonly masqueradeBit?: number;
}
export const defaultMasqueradeBit = 0x4000;
const address = 'ip daddr . ip protocol . th dport';
const port = 'ip protocol . th dport';

/** The part of the table that does not depend on routes, and a chain for each backend count in use. */
export function tableOf(options: RuleOptions, picks: Iterable<string>): Table {
  const bit = options.masqueradeBit ?? defaultMasqueradeBit;
  const nodePorts: Rule['when'] = options.nodeAddresses
    ? [{ type: 'in', fields: 'ip daddr', set: 'nodes' }]
    : [{ type: 'toThisHost' }];
  const translate: Chain = {
    name: 'translate',
    rules: [
      { do: { type: 'vmap', fields: address, map: 'services' } },
      { when: nodePorts, do: { type: 'vmap', fields: port, map: 'ports' } },
    ],
  };
  const refuse: Chain = {
    name: 'refuse',
    rules: [
      { when: [{ type: 'tcp' }], do: { type: 'reject', with: 'tcp reset' } },
      { do: { type: 'reject', with: 'icmp port-unreachable' } },
    ],
  };
  const guard: Chain = {
    name: 'guard',
    rules: [
      { when: [{ type: 'in', fields: address, set: 'refused' }], do: { type: 'goto', chain: 'refuse' } },
      {
        when: [...nodePorts, { type: 'in', fields: port, set: 'refusedPorts' }],
        do: { type: 'goto', chain: 'refuse' },
      },
      { when: [{ type: 'in', fields: 'ip daddr', set: 'virtual' }], do: { type: 'goto', chain: 'refuse' } },
    ],
  };
  return {
    name: options.tableName,
    sets: [
      { name: 'pods', fields: 'ip saddr', interval: true },
      { name: 'virtual', fields: 'ip daddr', interval: true },
      { name: 'nodes', fields: 'ip daddr' },
      { name: 'refused', fields: address },
      { name: 'refusedPorts', fields: port },
      { name: 'hairpin', fields: 'ip saddr . ip daddr' },
    ],
    maps: [
      { name: 'services', fields: address, to: 'verdict' },
      { name: 'endpoints', fields: address, to: 'endpoint' },
      { name: 'ports', fields: port, to: 'verdict' },
      { name: 'portEndpoints', fields: port, to: 'endpoint' },
    ],
    chains: [
      ...[...picks].map((name) => pickChain(name, bit)),
      refuse,
      translate,
      guard,
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
            when: [{ type: 'translated' }, { type: 'in', fields: 'ip saddr . ip daddr', set: 'hairpin' }],
            do: { type: 'masquerade' },
          },
        ],
      },
    ],
  };
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

type Scope = 'pick' | 'nodePick' | 'localPick';
const chainName = (scope: Scope, pick: Pick): string => `${scope}${pick.by === 'client' ? 'Client' : ''}${pick.of}`;

/** `pick3`, `nodePickClient2`, `localPick1`: everything a chain does is in its name. */
export function pickChain(name: string, masqueradeBit: number): Chain {
  const match = /^(pick|nodePick|localPick)(Client)?(\d+)$/.exec(name);
  if (!match) throw new Error(`${name} is no chain for a choice among backends`);
  const scope = match[1] as Scope;
  const pick: Pick = { by: match[2] ? 'client' : 'random', of: Number(match[3]) };
  const mark: Rule['do'] = { type: 'mark', bit: masqueradeBit };
  // A node port hides the client, so that the answer comes back through this host; with local backends only it need not.
  const hide: Rule[] =
    scope === 'pick'
      ? [{ when: [{ type: 'in', fields: 'ip saddr', set: 'pods', not: true }], do: mark }]
      : scope === 'nodePick'
        ? [{ do: mark }]
        : [];
  return {
    name,
    rules: [
      ...hide,
      {
        do:
          scope === 'pick'
            ? { type: 'dnat', fields: address, pick, map: 'endpoints' }
            : { type: 'dnat', fields: port, pick, map: 'portEndpoints' },
      },
    ],
  };
}

export function nodePortBackendsOf(route: Route): Route['backends'] {
  const all = route.nodePortBackends ?? route.backends;
  return route.nodePortLocalOnly ? all.filter((backend) => backend.local) : all;
}

/** What one route puts into the maps; `picks` are the chains that it needs. */
export function elementsOf(route: Route): { readonly elements: Element[]; readonly picks: string[] } {
  const elements: Element[] = [];
  const picks: string[] = [];
  const by: Pick['by'] = route.affinityTtlMs === undefined ? 'random' : 'client';
  const place = (
    scope: Scope,
    key: string,
    backends: Route['backends'],
    into: { services: string; endpoints: string; refused: string },
  ): void => {
    if (backends.length === 0) {
      elements.push({ in: into.refused, key });
      return;
    }
    const name = chainName(scope, { by, of: backends.length });
    picks.push(name);
    elements.push({ in: into.services, key, value: `goto ${name}` });
    backends.forEach((backend, index) => {
      elements.push({ in: into.endpoints, key: `${key} . ${index}`, value: `${backend.ip} . ${backend.port}` });
    });
  };
  place('pick', `${route.virtual.ip} . ${route.protocol} . ${route.virtual.port}`, route.backends, {
    services: 'services',
    endpoints: 'endpoints',
    refused: 'refused',
  });
  if (route.nodePort !== undefined) {
    const backends = nodePortBackendsOf(route);
    place(route.nodePortLocalOnly ? 'localPick' : 'nodePick', `${route.protocol} . ${route.nodePort}`, backends, {
      services: 'ports',
      endpoints: 'portEndpoints',
      refused: 'refusedPorts',
    });
  }
  for (const backend of new Map([...route.backends, ...nodePortBackendsOf(route)].map((one) => [one.ip, one])).values())
    if (backend.local) elements.push({ in: 'hairpin', key: `${backend.ip} . ${backend.ip}` });
  return { elements, picks };
}

/** Elements that come from options and pod ranges. */
export function fixedElements(options: RuleOptions, podRanges: readonly string[]): Element[] {
  return [
    ...podRanges.map((key) => ({ in: 'pods', key })),
    ...(options.serviceRanges ?? []).map((key) => ({ in: 'virtual', key })),
    ...(options.nodeAddresses ?? []).map((key) => ({ in: 'nodes', key })),
  ];
}

/** Why this route cannot be served, or undefined. Everything that reaches nft as text is checked here. */
export function refusalOf(route: Route): string | undefined {
  if (!isIpv4(route.virtual.ip)) return `virtual address ${route.virtual.ip} is not IPv4`;
  const backends = [...route.backends, ...(route.nodePortBackends ?? [])];
  const ports = [route.virtual.port, route.nodePort ?? 1, ...backends.map((backend) => backend.port)];
  const badPort = ports.find((value) => !Number.isInteger(value) || value < 1 || value > 65_535);
  if (badPort !== undefined) return `port ${badPort} is not in 1-65535`;
  const badBackend = backends.find((backend) => !isIpv4(backend.ip));
  return badBackend ? `backend address ${badBackend.ip} is not IPv4` : undefined;
}
