import { describe, expect, test } from 'bun:test';
import { cidrContains } from '../cidr.ts';
import { changeCommands, replaceText } from '../nft/ruleset.ts';
import { type Outcome, type Packet, walk } from '../nft/walk.ts';
import type { Route } from '../service-proxy.ts';
import { elementsOf, fixedElements, type RuleOptions, tableOf } from './rules.ts';
import { RouteState } from './state.ts';

const options: RuleOptions = { tableName: 'pintle_test', serviceRanges: ['10.96.0.0/16'] };
const podRanges = ['10.244.0.0/16'];
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
  nodePortLocalOnly: true,
};

function send(routes: Route[], packet: Partial<Packet>, given = options): Outcome {
  const state = new RouteState(elementsOf);
  state.update(routes);
  const elements = [...state.elements(), ...fixedElements(given, podRanges)];
  const first: Packet = {
    from: 'network',
    saddr: '10.244.0.9',
    daddr: '10.96.0.10',
    protocol: 'tcp',
    dport: 80,
    ...packet,
  };
  return walk(tableOf(given, state.picks), elements, first, {
    hostAddresses: ['192.0.2.1', '127.0.0.1'],
    contains: (set, ip) => elements.some((element) => element.in === set && cidrContains(element.key, ip)),
  });
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
    [
      'udp',
      { daddr: '10.96.0.12', dport: 53, protocol: 'udp', clientHash: 1, random: 0 },
      { daddr: '10.244.0.6', dport: 8080 },
    ],
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

  test('node ports answer only on the given addresses', () => {
    const given = { ...options, nodeAddresses: ['192.0.2.1'] };
    expect(send([web], { daddr: '192.0.2.1', dport: 30080 }, given).daddr).toBe('10.244.0.2');
    expect(send([web], { daddr: '192.0.2.9', dport: 30080 }, given).daddr).toBe('192.0.2.9');
  });
});

describe('state', () => {
  test('a delta holds only what changed, and replaces an element whose value changed', () => {
    const state = new RouteState(elementsOf);
    state.update([web, dns]);
    const delta = state.update([{ ...web, backends: web.backends.slice(0, 2) }, dns]);
    const commands = changeCommands('t', { chains: [], removed: delta.removed, added: delta.added });
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
    const state = new RouteState(elementsOf);
    const second = { ...web, id: 'default/second:' };
    state.update([web, second]);
    expect(state.refused()).toEqual([
      { id: 'default/second:', reason: 'its address or node port is already served for default/web:' },
    ]);
    state.update([second]);
    expect(state.refused()).toEqual([]);
  });
  test('shared hairpin elements go with their last user', () => {
    const state = new RouteState(elementsOf);
    const other: Route = { ...web, id: 'default/other:', virtual: { ip: '10.96.0.20', port: 80 }, nodePort: undefined };
    state.update([web, other]);
    expect(state.update([web]).removed.filter((element) => element.in === 'hairpin')).toEqual([]);
    expect(state.update([]).removed.filter((element) => element.in === 'hairpin')).toHaveLength(2);
    expect([...state.elements()]).toEqual([]);
  });
  test('nothing that is no address reaches nft', () => {
    const state = new RouteState(elementsOf);
    state.update([
      { ...web, virtual: { ip: '1.2.3.4; flush ruleset', port: 80 } },
      { ...dns, backends: [backend('fd00::1')] },
    ]);
    expect(state.refused().map((one) => one.reason)).toEqual([
      'virtual address 1.2.3.4; flush ruleset is not IPv4',
      'backend address fd00::1 is not IPv4',
    ]);
  });
  test('after any sequence of changes the state equals a fresh one', () => {
    const [a, b] = [new RouteState(elementsOf), new RouteState(elementsOf)];
    for (const step of [[web], [web, dns, empty], [{ ...empty, backends: web.backends }], [local, dns]]) a.update(step);
    b.update([local, dns]);
    const sorted = (state: RouteState) => [...state.elements()].map((one) => JSON.stringify(one)).sort();
    expect(sorted(a)).toEqual(sorted(b));
  });
});

test('the whole table is replaced in one transaction', () => {
  const text = replaceText(tableOf(options, ['pick2']), elementsOf({ ...dns, affinityTtlMs: undefined }).elements);
  expect(text.startsWith('add table ip pintle_test\ndelete table ip pintle_test\ntable ip pintle_test {\n')).toBe(true);
  expect(text).toContain('add element ip pintle_test services { 10.96.0.12 . udp . 53 : goto pick2 }');
});

test('a node port with backends of its own', () => {
  const route: Route = { ...web, backends: [], nodePort: 30099, nodePortBackends: [backend('10.244.0.7')] };
  expect(send([route], { daddr: '192.0.2.1', dport: 30099 })).toMatchObject({ daddr: '10.244.0.7' });
  expect(send([route], { daddr: route.virtual.ip, dport: route.virtual.port })).toMatchObject({ verdict: 'reset' });
  const local: Route = {
    ...route,
    nodePortLocalOnly: true,
    nodePortBackends: [{ ...backend('10.244.0.7'), local: true }],
  };
  expect(send([local], { daddr: '192.0.2.1', dport: 30099 })).toMatchObject({ daddr: '10.244.0.7' });
});
