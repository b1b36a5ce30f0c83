import { describe, expect, test } from 'bun:test';
import { cidrContains } from '../cidr.ts';
import { changeCommands, replaceText } from '../nft/ruleset.ts';
import { type Outcome, type Packet, walk } from '../nft/walk.ts';
import type { Route } from '../service-proxy.ts';
import { elementsOf } from './rules.ts';
import { RouteState } from './state.ts';
import { familyOf, fixedElements, type RuleOptions, tableOf } from './table.ts';

const options: RuleOptions = { tableName: 'pintle_test', serviceRanges: ['10.96.0.0/16', 'fd00:96::/112'] };
const podRanges = ['10.244.0.0/16', 'fd00:244::/56'];
const backend = (ip: string, local = true) => ({ ip, port: 8080, local });
const web: Route = {
  id: 'default/web:',
  protocol: 'tcp',
  virtual: { ip: '10.96.0.10', port: 80 },
  nodePort: 30080,
  backends: [backend('10.244.0.2'), backend('10.244.0.3'), backend('10.244.1.4', false)],
};
const empty: Route = {
  ...web,
  id: 'default/empty:',
  virtual: { ip: '10.96.0.11', port: 80 },
  nodePort: 30081,
  backends: [],
};
const dns: Route = {
  id: 'kube-system/dns:dns',
  protocol: 'udp',
  virtual: { ip: '10.96.0.12', port: 53 },
  affinityTtlMs: 1_000,
  backends: [backend('10.244.0.5'), backend('10.244.0.6')],
};
const local: Route = {
  ...web,
  id: 'default/local:',
  virtual: { ip: '10.96.0.13', port: 80 },
  nodePort: 30082,
  externalLocal: web.backends.slice(0, 2),
};

function send(routes: Route[], packet: Partial<Packet>, given = options, learned: Outcome['learned'] = []): Outcome {
  const first: Packet = {
    from: 'network',
    saddr: '10.244.0.9',
    daddr: '10.96.0.10',
    protocol: 'tcp',
    dport: 80,
    ...packet,
  };
  const family = familyOf(first.daddr);
  const state = new RouteState(undefined, given.serviceRanges);
  state.update(routes.filter(({ virtual }) => familyOf(virtual.ip) === family));
  const elements = [...state.elements(), ...fixedElements(family, given, podRanges), ...learned];
  return walk(tableOf(family, given, state.picks), elements, first, {
    hostAddresses: ['192.0.2.1', '127.0.0.1', 'fd00:1::1', '::1'],
    contains: (set, key) => elements.some((element) => element.in === set && holds(element.key, key)),
  });
}
/** The last part of a key is a range or an address; the others are what they are. */
function holds(range: string, key: string): boolean {
  const [parts, wanted] = [range.split(' . '), key.split(' . ')];
  const last = parts.length - 1;
  return parts.every((part, index) => (index === last ? cidrContains(part, wanted[index]!) : part === wanted[index]));
}

describe('a packet through the rules', () => {
  const routes = [web, empty, dns, local];
  const cases: [name: string, packet: Partial<Packet>, expected: Partial<Outcome>][] = [
    ['pod to service', { random: 1 }, { verdict: 'delivered', daddr: '10.244.0.3', dport: 8080, masqueraded: false }],
    ['pod to service, remote backend', { random: 2 }, { daddr: '10.244.1.4', masqueraded: false }],
    [
      'host to service is masqueraded',
      { from: 'host', saddr: '192.0.2.1' },
      { daddr: '10.244.0.2', masqueraded: true },
    ],
    ['outside to service is masqueraded', { saddr: '198.51.100.7' }, { daddr: '10.244.0.2', masqueraded: true }],
    ['a pod reaches itself by hairpin', { saddr: '10.244.0.2' }, { daddr: '10.244.0.2', masqueraded: true }],
    [
      'node port',
      { daddr: '192.0.2.1', dport: 30080, saddr: '198.51.100.7', random: 2 },
      { daddr: '10.244.1.4', dport: 8080, masqueraded: true },
    ],
    [
      'node port from the host',
      { from: 'host', saddr: '192.0.2.1', daddr: '192.0.2.1', dport: 30080 },
      { daddr: '10.244.0.2', masqueraded: true },
    ],
    [
      'node port on loopback is left alone',
      { from: 'host', saddr: '127.0.0.1', daddr: '127.0.0.1', dport: 30080 },
      { daddr: '127.0.0.1', dport: 30080 },
    ],
    [
      'node port of another host is left alone',
      { daddr: '203.0.113.5', dport: 30080 },
      { daddr: '203.0.113.5', masqueraded: false },
    ],
    [
      'local-only node port keeps the client',
      { daddr: '192.0.2.1', dport: 30082, saddr: '198.51.100.7', random: 5 },
      { daddr: '10.244.0.3', masqueraded: false },
    ],
    ['no backend: tcp reset', { daddr: '10.96.0.11' }, { verdict: 'reset' }],
    ['no backend, node port', { daddr: '192.0.2.1', dport: 30081 }, { verdict: 'reset' }],
    ['unknown virtual address', { daddr: '10.96.0.99', protocol: 'udp' }, { verdict: 'unreachable' }],
    ['wrong port of a service', { dport: 81 }, { verdict: 'reset' }],
    ['wrong protocol', { protocol: 'udp' }, { verdict: 'unreachable' }],
    ['udp', { daddr: '10.96.0.12', dport: 53, protocol: 'udp', random: 1 }, { daddr: '10.244.0.6', dport: 8080 }],
    [
      'straight to a pod',
      { daddr: '10.244.0.3', dport: 8080 },
      { verdict: 'delivered', daddr: '10.244.0.3', masqueraded: false },
    ],
    [
      'other traffic',
      { daddr: '198.51.100.1', dport: 443 },
      { verdict: 'delivered', daddr: '198.51.100.1', masqueraded: false },
    ],
  ];
  for (const [name, packet, expected] of cases)
    test(name, () => {
      expect(send(routes, packet)).toMatchObject(expected);
    });

  test('node ports answer only on addresses of this host in the given ranges', () => {
    const to = (daddr: string, ...nodePortRanges: string[]) =>
      send([web], { daddr, dport: 30080 }, { ...options, nodePortRanges }).daddr;
    expect(to('192.0.2.1', '192.0.2.0/24')).toBe('10.244.0.2');
    expect(to('192.0.2.9', '192.0.2.0/24')).toBe('192.0.2.9');
    expect(to('192.0.2.1', '198.51.100.0/24')).toBe('192.0.2.1');
    expect(to('192.0.2.1', 'fd00:1::/64')).toBe('10.244.0.2'); // says nothing of IPv4
  });
});

describe('state', () => {
  test('a delta holds only what changed, and replaces an element whose value changed', () => {
    const state = new RouteState();
    state.update([web, dns]);
    const delta = state.update([{ ...web, backends: web.backends.slice(0, 2) }, dns]);
    const commands = changeCommands({ family: 4, name: 't' }, { removed: delta.removed, added: delta.added });
    expect(commands).toEqual([
      'delete element ip t services { 10.96.0.10 . tcp . 80 }',
      'delete element ip t endpoints { 10.96.0.10 . tcp . 80 . 2 }',
      'delete element ip t ports { tcp . 30080 }',
      'delete element ip t portEndpoints { tcp . 30080 . 2 }',
      'add element ip t services { 10.96.0.10 . tcp . 80 : goto pick2 }',
      'add element ip t ports { tcp . 30080 : goto nodePick2 }',
    ]);
    expect(delta.udpChanged).toBe(false);
    expect(state.update([{ ...web, backends: web.backends.slice(0, 2) }, dns])).toMatchObject({
      removed: [],
      added: [],
    });
  });
  test('two routes on one address: the first is served, the second refused until the first goes', () => {
    const state = new RouteState();
    const second = { ...web, id: 'default/second:' };
    state.update([web, second]);
    expect(state.refused()).toEqual([
      { id: 'default/second:', reason: 'its address or node port is already served for default/web:' },
    ]);
    state.update([second]);
    expect(state.refused()).toEqual([]);
  });
  test('shared hairpin elements go with their last user', () => {
    const state = new RouteState();
    const other: Route = { ...web, id: 'default/other:', virtual: { ip: '10.96.0.20', port: 80 }, nodePort: undefined };
    state.update([web, other]);
    expect(state.update([web]).removed.filter((element) => element.in === 'hairpin')).toEqual([]);
    expect(state.update([]).removed.filter((element) => element.in === 'hairpin')).toHaveLength(2);
    expect([...state.elements()]).toEqual([]);
  });
  test('nothing that is no address reaches nft', () => {
    const state = new RouteState();
    state.update([
      { ...web, virtual: { ip: '1.2.3.4; flush ruleset', port: 80 } },
      { ...dns, backends: [backend('fd00::1')] },
    ]);
    expect(state.refused().map((one) => one.reason)).toEqual([
      'virtual address 1.2.3.4; flush ruleset is no address',
      'fd00::1 is not an address of the family of 10.96.0.12',
    ]);
  });
  test('after any sequence of changes the state equals a fresh one', () => {
    const [a, b] = [new RouteState(), new RouteState()];
    for (const step of [[web], [web, dns, empty], [{ ...empty, backends: web.backends }], [local, dns]]) a.update(step);
    b.update([local, dns]);
    const sorted = (state: RouteState) => [...state.elements()].map((one) => JSON.stringify(one)).sort();
    expect(sorted(a)).toEqual(sorted(b));
  });
});

test('the whole table is replaced in one transaction', () => {
  const text = replaceText(tableOf(4, options, ['pick2']), elementsOf({ ...dns, affinityTtlMs: undefined }).elements);
  expect(text.startsWith('add table ip pintle_test\ndelete table ip pintle_test\ntable ip pintle_test {\n')).toBe(true);
  expect(text).toContain('add element ip pintle_test services { 10.96.0.12 . udp . 53 : goto pick2 }');
});

test('the parts of a table for IPv6 are its own', () => {
  const text = replaceText(tableOf(6, options, ['pickStick2t60']), [{ in: 'refused', key: 'x' }]);
  expect(text).toContain('table ip6 pintle_test {');
  expect(text).not.toMatch(/\bip (saddr|daddr)|\bicmp port|127\.0/);
});

test('a node port with backends of its own', () => {
  const route: Route = { ...web, backends: [], nodePort: 30099, externalBackends: [backend('10.244.0.7')] };
  expect(send([route], { daddr: '192.0.2.1', dport: 30099 })).toMatchObject({ daddr: '10.244.0.7' });
  expect(send([route], { daddr: route.virtual.ip, dport: route.virtual.port })).toMatchObject({ verdict: 'reset' });
});

describe('addresses for those from outside', () => {
  const external = [{ ip: '203.0.113.1', sources: ['198.51.100.0/24', '10.244.0.0/16'] }, { ip: '203.0.113.2' }];
  const balanced: Route = { ...web, external };
  const localOnly: Route = { ...balanced, externalLocal: [backend('10.244.0.2')] };
  const noneHere: Route = { ...balanced, externalLocal: [], hasOthers: true };
  const stranger = { saddr: '198.51.100.7', daddr: '203.0.113.2' };
  const cases: [name: string, route: Route, packet: Partial<Packet>, expected: Partial<Outcome>][] = [
    [
      'anyone is led to a backend, and hidden',
      balanced,
      { ...stranger, random: 2 },
      { daddr: '10.244.1.4', masqueraded: true },
    ],
    ['the host too', balanced, { from: 'host', saddr: '192.0.2.1', daddr: '203.0.113.2' }, { masqueraded: true }],
    ['a pod too', balanced, { daddr: '203.0.113.2' }, { daddr: '10.244.0.2' }],
    ['who may come', balanced, { ...stranger, daddr: '203.0.113.1' }, { verdict: 'delivered', daddr: '10.244.0.2' }],
    ['who may not', balanced, { daddr: '203.0.113.1', saddr: '192.0.2.77' }, { verdict: 'dropped' }],
    [
      'the node port is open to them',
      balanced,
      { daddr: '192.0.2.1', dport: 30080, saddr: '192.0.2.77' },
      { daddr: '10.244.0.2' },
    ],
    [
      'another port of it is not ours',
      balanced,
      { ...stranger, dport: 81 },
      { verdict: 'delivered', daddr: '203.0.113.2' },
    ],
    ['a client that is kept', localOnly, { ...stranger, random: 1 }, { daddr: '10.244.0.2', masqueraded: false }],
    [
      'a pod goes to any backend',
      localOnly,
      { daddr: '203.0.113.2', random: 2 },
      { daddr: '10.244.1.4', masqueraded: false },
    ],
    [
      'the host goes to any, masqueraded',
      localOnly,
      { from: 'host', saddr: '192.0.2.1', daddr: '203.0.113.2', random: 2 },
      { daddr: '10.244.1.4', masqueraded: true },
    ],
    ['a kept client without a backend here is dropped', noneHere, stranger, { verdict: 'dropped' }],
    [
      'by its node port too',
      noneHere,
      { saddr: '198.51.100.7', daddr: '192.0.2.1', dport: 30080 },
      { verdict: 'dropped' },
    ],
    ['a pod is served all the same', noneHere, { daddr: '203.0.113.2', random: 1 }, { daddr: '10.244.0.3' }],
    [
      'without any backend it is refused',
      { ...balanced, backends: [], externalLocal: [] },
      stranger,
      { verdict: 'reset' },
    ],
    [
      'inside, where others have one, it is dropped',
      { ...web, backends: [], hasOthers: true },
      {},
      { verdict: 'dropped' },
    ],
  ];
  for (const [name, route, packet, expected] of cases)
    test(name, () => {
      expect(send([route], packet)).toMatchObject(expected);
    });
  test('what belongs to the cluster or to another service is not given, the rest is', () => {
    const state = new RouteState(undefined, options.serviceRanges);
    const greedy: Route = { ...dns, external: [{ ip: '10.96.0.10' }, { ip: '203.0.113.3' }] };
    const late: Route = {
      ...greedy,
      id: 'default/late:',
      virtual: { ip: '10.96.0.40', port: 53 },
      external: [{ ip: '203.0.113.3' }],
    };
    state.update([greedy, late]);
    expect(state.refused()).toEqual([
      { id: 'kube-system/dns:dns', reason: "10.96.0.10 is for the cluster's own services" },
      { id: 'default/late:', reason: '203.0.113.3 is already served for kube-system/dns:dns' },
    ]);
    expect([...state.elements()].filter(({ key }) => key.startsWith('10.96.0.40'))).not.toEqual([]);
    state.update([late]);
    expect(state.refused()).toEqual([]);
    // Whose own address it is has it, also if he comes last.
    const own: Route = { ...dns, id: 'default/own:', virtual: { ip: '203.0.113.3', port: 53 } };
    state.update([late, own]);
    expect(state.refused()).toEqual([
      { id: 'default/late:', reason: '203.0.113.3 is already served for default/own:' },
    ]);
    const fresh = new RouteState(undefined, options.serviceRanges);
    fresh.update([own, late]);
    const sorted = (some: RouteState) => [...some.elements()].map((one) => JSON.stringify(one)).sort();
    expect(sorted(state)).toEqual(sorted(fresh));
    state.update([late]);
    expect(state.refused()).toEqual([]);
    expect([...state.elements()].filter(({ key }) => key.startsWith('203.0.113.3'))).not.toEqual([]);
  });
});

describe('clients that stay', () => {
  const sticky: Route = { ...web, affinityTtlMs: 60_000 };
  const client = { saddr: '10.244.0.9', random: 2 };
  test('the first connection chooses, and what it chose is found again whatever chance says', () => {
    const first = send([sticky], client);
    expect(first.learned).toEqual([{ in: 'sticky2', key: '10.244.0.9 . 10.96.0.10 . tcp . 80', ttlSeconds: 60 }]);
    const again = send([sticky], { ...client, random: 0 }, options, first.learned);
    expect([first.daddr, again.daddr]).toEqual(['10.244.1.4', '10.244.1.4']);
    expect(again.learned).toEqual(first.learned); // which begins the time anew
    expect(send([sticky], { saddr: '10.244.0.8', random: 0 }, options, first.learned).daddr).toBe('10.244.0.2');
  });
  test('a backend that goes takes nobody else along, and its clients are served by another', () => {
    const state = new RouteState();
    state.update([sticky]);
    const delta = state.update([{ ...sticky, backends: sticky.backends.slice(1) }]);
    const seats = (elements: readonly { in: string; key: string; value?: string }[]) =>
      elements.filter((one) => one.in === 'seats').map(({ key, value }) => `${key.at(-1)} ${value}`);
    expect(seats(delta.added)).toEqual(['0 10.244.0.3 . 8080']);
    expect(seats(delta.removed)).toEqual(['0 10.244.0.2 . 8080']);
  });
  test('a list for those from far away has seats of its own', () => {
    const route: Route = { ...sticky, external: [{ ip: '203.0.113.2' }], externalLocal: [backend('10.244.0.2')] };
    const far = { saddr: '198.51.100.7', daddr: '203.0.113.2', random: 2 };
    expect(send([route], far)).toMatchObject({ daddr: '10.244.0.2', masqueraded: false });
    expect(send([route], { ...far, saddr: '10.244.0.9' })).toMatchObject({ daddr: '10.244.1.4' });
  });
});

describe('IPv6', () => {
  const six: Route = {
    id: 'default/web:#1',
    protocol: 'tcp',
    virtual: { ip: 'fd00:96::10', port: 80 },
    nodePort: 30080,
    external: [{ ip: 'fd00:e::1', sources: ['fd00:5::/64'] }],
    backends: [backend('fd00:244::2'), backend('fd00:244::3', false)],
  };
  const cases: [name: string, packet: Partial<Packet>, expected: Partial<Outcome>][] = [
    [
      'pod to service',
      { saddr: 'fd00:244::9', daddr: 'fd00:96::10' },
      { daddr: 'fd00:244::2', dport: 8080, masqueraded: false },
    ],
    ['hairpin', { saddr: 'fd00:244::2', daddr: 'fd00:96::10' }, { daddr: 'fd00:244::2', masqueraded: true }],
    ['outside', { saddr: 'fd00:5::1', daddr: 'fd00:e::1', random: 1 }, { daddr: 'fd00:244::3', masqueraded: true }],
    ['who may not', { saddr: 'fd00:6::1', daddr: 'fd00:e::1' }, { verdict: 'dropped' }],
    [
      'node port',
      { saddr: 'fd00:5::1', daddr: 'fd00:1::1', dport: 30080 },
      { daddr: 'fd00:244::2', masqueraded: true },
    ],
    ['node port on loopback', { from: 'host', saddr: '::1', daddr: '::1', dport: 30080 }, { daddr: '::1' }],
    ['unknown virtual address', { saddr: 'fd00:244::9', daddr: 'fd00:96::99' }, { verdict: 'reset' }],
    ['the other family does not know it', { daddr: '192.0.2.1', dport: 30080 }, { daddr: '192.0.2.1' }],
  ];
  for (const [name, packet, expected] of cases)
    test(name, () => {
      expect(send([six], packet)).toMatchObject(expected);
    });
});
