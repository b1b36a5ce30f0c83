import { expect, test } from 'bun:test';
import ipaddr from 'ipaddr.js';
import { type FilteredPacket, WalkedFilter } from '../../net/filter/walk.ts';
import { type PodFacts, podFactsOf } from './facts.ts';
import { PolicyState } from './state.ts';

type Spec = Parameters<PolicyState['setPolicy']>[2];
const contains = (cidr: string, address: string) => {
  const [range, ip] = [ipaddr.parseCIDR(cidr), ipaddr.parse(address)];
  return range[0].kind() === ip.kind() && ip.match(range);
};
/** Three namespaces with pods a, b and c each, as the table of truth of upstream's suite: x/a is 10.0.1.1, z/c is 10.0.3.3. */
const addressOf = (pod: string): string => {
  const [namespace = '', name = ''] = pod.split('/');
  return `10.0.${'xyz'.indexOf(namespace) + 1}.${'abc'.indexOf(name) + 1}`;
};
const names = ['x', 'y', 'z'].flatMap((namespace) => ['a', 'b', 'c'].map((pod) => `${namespace}/${pod}`));
const podOf = (key: string, change: Partial<PodFacts> = {}): PodFacts => ({
  key,
  namespace: key.split('/')[0]!,
  labels: { pod: key.split('/')[1]! },
  ips: [addressOf(key)],
  isLocal: key.startsWith('x/'),
  ports: [
    { name: 'serve-80-tcp', protocol: 'tcp', port: 80 },
    { name: 'serve-81-tcp', protocol: 'tcp', port: 81 },
    { name: 'serve-81-udp', protocol: 'udp', port: 81 },
  ],
  ...change,
});
function world(localRanges: readonly string[] = ['10.0.1.0/24']) {
  const state = new PolicyState({ families: [4, 6] });
  for (const name of ['x', 'y', 'z']) state.setNamespace(name, { ns: name, 'kubernetes.io/metadata.name': name });
  for (const name of names) state.setPod(name, podOf(name));
  const table = new WalkedFilter({ localRanges: () => localRanges }, { contains });
  table.change(state.whole());
  const policy = (name: string, spec: Spec, namespace = 'x') =>
    state.setPolicy(`${namespace}/${name}`, namespace, spec);
  return {
    state,
    table,
    policy,
    settle: () => table.change(state.changed()),
    /** From a pod to a pod. */
    can: (from: string, to: string, port = 80, protocol: FilteredPacket['protocol'] = 'tcp') =>
      table.passes({ saddr: addressOf(from), daddr: addressOf(to), protocol, dport: port }),
  };
}
const all = {};
const only = (pod: string) => ({ matchLabels: { pod } });
const ns = (...values: string[]) => ({ matchExpressions: [{ key: 'ns', operator: 'In', values }] });
const ingress = (rules: NonNullable<NonNullable<Spec>['ingress']>, podSelector: object = all): Spec => ({
  podSelector,
  policyTypes: ['Ingress'],
  ingress: rules,
});
const egress = (rules: NonNullable<NonNullable<Spec>['egress']>, podSelector: object = all): Spec => ({
  podSelector,
  policyTypes: ['Egress'],
  egress: rules,
});

/** What reaches x/a of all nine pods, tcp 80; then of x/a what it reaches. */
const rows: [string, Spec[], readonly string[], readonly string[]][] = [
  ['no policy', [], names, names],
  ['default deny of ingress', [ingress([])], ['x/a'], names.filter((name) => !name.startsWith('x/') || name === 'x/a')],
  ['default deny of egress', [egress([])], names.filter((name) => !name.startsWith('x/') || name === 'x/a'), ['x/a']],
  [
    'default deny of both',
    [{ podSelector: all, policyTypes: ['Ingress', 'Egress'] }],
    [...names.filter((n) => n === 'x/a')],
    ['x/a'],
  ],
  ['types by default: ingress alone', [{ podSelector: only('a') }], ['x/a'], names],
  ['types by default: egress where there is a rule', [{ podSelector: only('a'), egress: [{}] }], ['x/a'], names],
  ['allow all', [ingress([]), ingress([{}])], names, names],
  [
    'by pod selector, in the own namespace',
    [ingress([{ from: [{ podSelector: only('b') }] }], only('a'))],
    ['x/a', 'x/b'],
    names,
  ],
  ['by an empty pod selector', [ingress([{ from: [{ podSelector: {} }] }], only('a'))], ['x/a', 'x/b', 'x/c'], names],
  [
    'by namespace',
    [ingress([{ from: [{ namespaceSelector: ns('y') }] }], only('a'))],
    ['x/a', 'y/a', 'y/b', 'y/c'],
    names,
  ],
  ['by every namespace', [ingress([{ from: [{ namespaceSelector: {} }] }], only('a'))], names, names],
  [
    'by namespace AND pod',
    [ingress([{ from: [{ namespaceSelector: ns('y', 'z'), podSelector: only('b') }] }], only('a'))],
    ['x/a', 'y/b', 'z/b'],
    names,
  ],
  [
    'by namespace OR pod',
    [ingress([{ from: [{ namespaceSelector: ns('y') }, { podSelector: only('b') }] }], only('a'))],
    ['x/a', 'x/b', 'y/a', 'y/b', 'y/c'],
    names,
  ],
  [
    'policies add up',
    [
      ingress([{ from: [{ podSelector: only('b') }] }], only('a')),
      ingress([{ from: [{ podSelector: only('c') }] }], only('a')),
    ],
    ['x/a', 'x/b', 'x/c'],
    names,
  ],
  [
    'by address, with an exception',
    [ingress([{ from: [{ ipBlock: { cidr: '10.0.2.0/24', except: ['10.0.2.2/32'] } }] }], only('a'))],
    ['x/a', 'y/a', 'y/c'],
    names,
  ],
  [
    'an exception that another rule allows',
    [
      ingress(
        [
          { from: [{ ipBlock: { cidr: '10.0.2.0/24', except: ['10.0.2.2/32'] } }] },
          { from: [{ ipBlock: { cidr: '10.0.2.2/32' } }] },
        ],
        only('a'),
      ),
    ],
    ['x/a', 'y/a', 'y/b', 'y/c'],
    names,
  ],
  ['another port alone', [ingress([{ ports: [{ port: 81, protocol: 'TCP' }] }], only('a'))], ['x/a'], names],
  ['this port', [ingress([{ ports: [{ port: 80 }] }], only('a'))], names, names],
  ['a range', [ingress([{ ports: [{ port: 70, endPort: 90, protocol: 'TCP' }] }], only('a'))], names, names],
  ['another protocol', [ingress([{ ports: [{ port: 80, protocol: 'UDP' }] }], only('a'))], ['x/a'], names],
  ['a protocol whole', [ingress([{ ports: [{ protocol: 'TCP' }] }], only('a'))], names, names],
  ['a port by its name', [ingress([{ ports: [{ port: 'serve-80-tcp' }] }], only('a'))], names, names],
  ['a name that the pod does not have', [ingress([{ ports: [{ port: 'other' }] }], only('a'))], ['x/a'], names],
  [
    'ports and peers',
    [ingress([{ from: [{ namespaceSelector: ns('z') }], ports: [{ port: 80 }] }], only('a'))],
    ['x/a', 'z/a', 'z/b', 'z/c'],
    names,
  ],
  ['egress by pod', [egress([{ to: [{ podSelector: only('b') }] }], only('a'))], names, ['x/a', 'x/b']],
  [
    'egress by namespace and named port',
    [egress([{ to: [{ namespaceSelector: ns('y') }], ports: [{ port: 'serve-80-tcp' }] }], only('a'))],
    names,
    ['x/a', 'y/a', 'y/b', 'y/c'],
  ],
  ['egress by address', [egress([{ to: [{ ipBlock: { cidr: '10.0.3.3/32' } }] }], only('a'))], names, ['x/a', 'z/c']],
  [
    'an IPv6 block lets no IPv4 through',
    [egress([{ to: [{ ipBlock: { cidr: '::/0' } }] }], only('a'))],
    names,
    ['x/a'],
  ],
  ['every address', [egress([{ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }], only('a'))], names, names],
  ['of another namespace: nothing here', [ingress([], only('nobody'))], names, names],
];
test.each(rows)('%s', (_name, specs, from, to) => {
  const { can, policy, settle } = world();
  specs.forEach((spec, index) => policy(`p${index}`, spec));
  settle();
  expect(names.filter((name) => can(name, 'x/a'))).toEqual([...from]);
  expect(names.filter((name) => can('x/a', name))).toEqual([...to]);
  specs.forEach((_spec, index) => policy(`p${index}`, undefined));
  settle();
  expect(names.filter((name) => can(name, 'x/a'))).toEqual(names);
});

test('pods that are not decided about pass nothing; those of other hosts are the other hosts’ business', () => {
  const { state, table, can, settle } = world(['10.0.1.0/24', 'fd00:1::/64']);
  state.setPod('x/new', undefined);
  const strange = { daddr: addressOf('y/a'), protocol: 'tcp', dport: 80 } as const;
  expect(table.passes({ ...strange, saddr: '10.0.1.77' })).toBe(false);
  expect(table.passes({ ...strange, saddr: '10.0.1.77', toHost: true })).toBe(false);
  state.setPod('x/new', podOf('x/new', { ips: ['10.0.1.77', 'fd00:1::7'] }));
  settle();
  expect(table.passes({ ...strange, saddr: '10.0.1.77' })).toBe(true);
  expect(table.passes({ ...strange, saddr: 'fd00:1::7', daddr: 'fd00:2::1' })).toBe(true);
  expect(can('y/a', 'z/a')).toBe(true);
});

test('an address that was given away again is the later pod’s, whatever the former one still says', () => {
  const { state, table, policy, settle, can } = world();
  policy('b', ingress([], only('b')));
  settle();
  expect(can('y/a', 'x/a')).toBe(true);
  state.setPod('x/b', podOf('x/b', { ips: [addressOf('x/a')] })); // x/a has ended, and its end is not known here
  settle();
  expect(can('y/a', 'x/a')).toBe(false);
  state.setPod('x/a', podOf('x/a', { labels: { pod: 'a', more: '' } }));
  settle();
  expect(can('y/a', 'x/a')).toBe(false);
  state.setPod('x/a', undefined);
  settle();
  expect(can('y/a', 'x/a')).toBe(false);
  expect(table.sets.get('known4')!.has(addressOf('x/a'))).toBe(true);
});

test('labels of pods and namespaces, and pods that come and go, change what passes', () => {
  const { state, policy, settle, can } = world();
  policy('p', ingress([{ from: [{ namespaceSelector: ns('y'), podSelector: only('a') }] }], only('a')));
  settle();
  expect(can('y/b', 'x/a')).toBe(false);
  state.setPod('y/b', podOf('y/b', { labels: { pod: 'a' } }));
  settle();
  expect(can('y/b', 'x/a')).toBe(true);
  state.setNamespace('y', { ns: 'other' });
  settle();
  expect([can('y/a', 'x/a'), can('y/b', 'x/a')]).toEqual([false, false]);
  state.setNamespace('z', { ns: 'y' });
  settle();
  expect([can('z/a', 'x/a'), can('z/b', 'x/a')]).toEqual([true, false]);
  state.setPod('x/a', podOf('x/a', { labels: { pod: 'free' } }));
  settle();
  expect(can('z/b', 'x/a')).toBe(true);
});

test('a port that a service leads to another one here is meant by its number at the service', () => {
  const { state, table, policy, settle } = world();
  const dns = podOf('kube-system/dns', {
    labels: { 'k8s-app': 'kube-dns' },
    ips: ['10.0.1.250'],
    isLocal: false,
    ports: [],
    translated: [{ protocol: 'udp', port: 53, realPort: 10053 }],
  });
  state.setNamespace('kube-system', { 'kubernetes.io/metadata.name': 'kube-system' });
  const ask = (dport: number) =>
    table.passes({ saddr: addressOf('x/a'), daddr: '10.0.1.250', protocol: 'udp', dport, toHost: true });
  for (const to of [undefined, [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }]]) {
    policy('dns', egress([{ to, ports: [{ port: 53, protocol: 'UDP' }] }]));
    settle();
    expect(ask(10053)).toBe(false);
    state.setPod(dns.key, dns);
    settle();
    expect([ask(10053), ask(10054)]).toEqual([true, false]);
    state.setPod(dns.key, undefined);
    settle();
    expect(ask(10053)).toBe(false);
  }
});

test('what is told in pieces ends as what is told at once, and the table holds nothing for policies of others', () => {
  const { state, policy, settle, table } = world();
  const spec = ingress([{ from: [{ namespaceSelector: ns('y') }], ports: [{ port: 'serve-80-tcp' }, { port: 81 }] }]);
  policy('here', spec);
  policy('there', spec, 'y');
  settle();
  policy('here', egress([{ to: [{ namespaceSelector: ns('y') }] }]));
  settle();
  state.setPod('y/a', undefined);
  settle();
  const whole = new WalkedFilter({ localRanges: () => [] }, { contains });
  whole.change(state.whole());
  expect(new Map([...table.sets].map(([name, set]) => [name, [...set].sort()]))).toEqual(
    new Map([...whole.sets].map(([name, set]) => [name, [...set].sort()])),
  );
  policy('here', undefined);
  settle();
  expect([...table.sets.keys()].every((name) => /^(known|self|flooded|in|out)[46]$/.test(name))).toBe(true);
});

test('after any changes the table is what it would be, had it been made at once', () => {
  let seed = 7;
  const pick = <T>(list: readonly T[]): T => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return list[Math.floor((seed / 2 ** 31) * list.length)]!;
  };
  const specs: Spec[] = rows.flatMap(([, some]) => some);
  const { state, table } = world([]);
  const namespaces = new Map<string, Record<string, string>>([...'xyz'].map((name) => [name, { ns: name }]));
  for (const [name, labels] of namespaces) state.setNamespace(name, labels);
  const pods = new Map(names.map((name) => [name, podOf(name)]));
  const policies = new Map<string, readonly [string, Spec]>();
  const steps = [
    () => {
      const name = pick(names);
      const change = { labels: { pod: pick(['a', 'b', 'c']) }, ips: pick([[addressOf(name)], [], ['10.9.9.9']]) };
      pods.set(name, podOf(name, change));
      state.setPod(name, pods.get(name));
    },
    () => {
      const name = pick(names);
      pods.delete(name);
      state.setPod(name, undefined);
    },
    () => {
      const [namespace, name] = [pick(['x', 'y']), pick(['p', 'q', 'r', 's'])];
      policies.set(`${namespace}/${name}`, [namespace, pick(specs)]);
      state.setPolicy(`${namespace}/${name}`, namespace, policies.get(`${namespace}/${name}`)![1]);
    },
    () => {
      const key = pick([...policies.keys(), 'x/none']);
      policies.delete(key);
      state.setPolicy(key, key.split('/')[0]!, undefined);
    },
    () => {
      const name = pick(['x', 'y', 'z']);
      namespaces.set(name, { ns: pick(['x', 'y', 'z']) });
      state.setNamespace(name, namespaces.get(name));
    },
  ];
  const shown = (one: WalkedFilter) => Object.fromEntries([...one.sets].map(([name, set]) => [name, [...set].sort()]));
  for (let round = 0; round < 300; round++) {
    for (let step = 0; step <= round % 3; step++) pick(steps)();
    table.change(state.changed()); // throws for what the kernel would refuse
    const fresh = new PolicyState({ families: [4, 6] });
    for (const [name, labels] of namespaces) fresh.setNamespace(name, labels);
    for (const [name, pod] of pods) fresh.setPod(name, { ...pod, ips: pod.ips.filter((ip) => ip !== '10.9.9.9') });
    for (const [key, [namespace, spec]] of policies) fresh.setPolicy(key, namespace, spec);
    const owner = [...pods.keys()].filter((name) => pods.get(name)!.ips[0] === '10.9.9.9');
    if (owner.length > 0) continue; // whose it is depends on the order
    const whole = new WalkedFilter({ localRanges: () => [] }, { contains });
    whole.change(fresh.whole());
    expect(shown(table)).toEqual(shown(whole));
    expect(table.chainText()).toEqual(whole.chainText());
  }
});

test('what is no address, no range and no protocol means nobody, and gets into no command', () => {
  const { state, policy, settle, table, can } = world();
  const evil = '10.0.0.0/8; flush ruleset';
  policy('p', {
    podSelector: only('a'),
    policyTypes: ['Ingress'],
    ingress: [
      { from: [{ ipBlock: { cidr: evil } }] },
      { from: [{ ipBlock: { cidr: '10.0.2.9/24', except: [evil, '10.0.2.2/32', '10.0.2.3/31'] } }] },
      { ports: [{ protocol: 'ICMP; drop', port: 80 }] },
    ],
  });
  settle();
  expect(names.filter((name) => can(name, 'x/a'))).toEqual(['x/a', 'y/a']);
  const pod = (ips: string[]) => ({ status: { podIPs: ips.map((ip) => ({ ip })) }, metadata: { name: 'n' } }) as never;
  expect(podFactsOf(pod([evil, 'FD00:0::1', '10.0.0.7', '10.0.0.7']), 'n1').ips).toEqual(['fd00::1', '10.0.0.7']);
  state.setPod('x/new', undefined);
  expect(JSON.stringify(table.chainText())).not.toContain('flush');
});
