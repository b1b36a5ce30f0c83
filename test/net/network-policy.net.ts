// Network policies on real packets: nine pods of three namespaces on one bridge, a second host's pods behind a router's
// leg, a service in front of one. What the kernel lets through is compared with what the packet walker says.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ipaddr from 'ipaddr.js';
import { type Exec, type Log, silentLog, systemClock, systemExec } from '#base';
import type { PacketFilter } from '#net/packet-filter';
import { createNftablesFilter } from '../../net/filter/nftables.ts';
import { WalkedFilter } from '../../net/filter/walk.ts';
import { createBridgeNetwork } from '../../net/pods/bridge.ts';
import { createNftablesProxy } from '../../net/proxies/nftables.ts';
import type { PodFacts } from '../../plugins/network-policy/facts.ts';
import { PolicyState } from '../../plugins/network-policy/state.ts';
import { until } from '../fixtures/eventually.ts';
import { NetnsSocket } from '../fixtures/netns-sockets.ts';
import { skipped } from '../fixtures/skipped.ts';

type Spec = Parameters<PolicyState['setPolicy']>[2];
const able = process.getuid?.() === 0 && Bun.which('nft') && Bun.which('ip') && Bun.which('nsenter');
if (!able) skipped('net', 'network policies', 'they need root, nft, ip and nsenter');

const id = `pt${process.pid % 10_000}n`;
const nameOf = (name: string) => `${id}${name}`;
const pathOf = (name: string) => `/run/netns/${nameOf(name)}`;
const must = async (...argv: string[]) => {
  const result = await systemExec.run(argv);
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
};
const exec: Exec = {
  run: (argv, options) => systemExec.run(argv, { ...options, netns: options?.netns ?? pathOf('h') }),
};
const complaints: string[] = [];
const log: Log = { ...silentLog, warn: (text) => void complaints.push(text) };
const contains = (cidr: string, address: string) => {
  const [range, ip] = [ipaddr.parseCIDR(cidr), ipaddr.parse(address)];
  return range[0].kind() === ip.kind() && ip.match(range);
};

const namespaces = ['x', 'y', 'z'];
const local = namespaces.flatMap((namespace) => ['a', 'b', 'c'].map((pod) => `${namespace}/${pod}`));
const remote = ['y/far', 'z/far'];
const everybody = [...local, ...remote];
const ips = new Map<string, readonly string[]>();
const netnsOf = (pod: string) => pathOf(remote.includes(pod) ? 'o' : pod.replace('/', ''));
const settleMs = 400; // a packet that got nowhere within this time after all others had arrived was dropped
const virtual = '10.242.0.10';
const ports = [80, 81] as const;
const localRanges = ['10.241.0.0/24', 'fd41::/64'];

let folder: string;
let filter: PacketFilter;
let state: PolicyState;
let table: WalkedFilter;
const open: Disposable[] = [];
const servers = new Map<string, NetnsSocket>();
const network = () =>
  createBridgeNetwork({
    bridge: 'ptnp0',
    subnets: ['10.241.0.0/24', 'fd41::/64'],
    podRanges: ['10.241.0.0/16', 'fd41::/48'],
    serviceRanges: ['10.242.0.0/16'],
    stateFolder: folder,
    exec,
  });
const proxy = createNftablesProxy({ tableName: `svc_${id}`, exec: systemExec, netns: pathOf('h'), log });
const makeFilter = () =>
  createNftablesFilter({
    tableName: `pol_${id}`,
    localRanges: () => localRanges,
    podLinks: ['ptnp0'],
    netns: pathOf('h'),
    log,
  });

const factsOf = (pod: string, change: Partial<PodFacts> = {}): PodFacts => ({
  key: pod,
  namespace: pod.split('/')[0]!,
  labels: { pod: pod.split('/')[1]! },
  ips: ips.get(pod)!,
  isLocal: local.includes(pod),
  ports: [
    { name: 'serve-80-tcp', protocol: 'tcp', port: 80 },
    { name: 'serve-81-udp', protocol: 'udp', port: 81 },
  ],
  ...change,
});
function newState(): PolicyState {
  const made = new PolicyState({ families: [4, 6] });
  for (const name of namespaces) made.setNamespace(name, { ns: name });
  for (const pod of everybody) made.setPod(pod, factsOf(pod));
  return made;
}
async function settle(): Promise<void> {
  await filter.apply(state);
  table = new WalkedFilter({ localRanges: () => localRanges }, { contains });
  table.change(state.whole());
}

async function start(): Promise<void> {
  folder = mkdtempSync(join(tmpdir(), 'pintle-policy-'));
  for (const name of ['h', 'o', ...local.map((pod) => pod.replace('/', ''))])
    await must('ip', 'netns', 'add', nameOf(name));
  await must('ip', '-n', nameOf('h'), 'link', 'set', 'dev', 'lo', 'up');
  await network().prepare();
  for (const pod of local) ips.set(pod, (await network().attach({ uid: pod, netnsPath: netnsOf(pod) })).ips);
  // The other host's pods: addresses of one namespace behind a routed link.
  await must(
    'ip',
    '-n',
    nameOf('h'),
    'link',
    'add',
    'up0',
    'type',
    'veth',
    'peer',
    'name',
    'up0',
    'netns',
    nameOf('o'),
  );
  await must('ip', '-n', nameOf('h'), 'address', 'add', '192.0.2.1/24', 'dev', 'up0');
  await must('ip', '-n', nameOf('o'), 'address', 'add', '192.0.2.2/24', 'dev', 'up0');
  for (const name of ['h', 'o']) await must('ip', '-n', nameOf(name), 'link', 'set', 'dev', 'up0', 'up');
  await must('ip', '-n', nameOf('o'), 'link', 'set', 'dev', 'lo', 'up');
  for (const [index, pod] of remote.entries()) {
    const own = [`10.241.1.${index + 2}`, `fd41:0:0:1::${index + 2}`];
    ips.set(pod, own);
    await must('ip', '-n', nameOf('o'), 'address', 'add', `${own[0]}/32`, 'dev', 'lo');
    await must('ip', '-n', nameOf('o'), 'address', 'add', `${own[1]}/128`, 'dev', 'lo', 'nodad');
  }
  await must('ip', '-n', nameOf('h'), 'address', 'add', 'fd40::1/64', 'dev', 'up0', 'nodad');
  await must('ip', '-n', nameOf('o'), 'address', 'add', 'fd40::2/64', 'dev', 'up0', 'nodad');
  await must('ip', '-n', nameOf('h'), 'route', 'add', 'fd41:0:0:1::/64', 'via', 'fd40::2');
  await must('ip', '-n', nameOf('o'), 'route', 'add', 'fd41::/64', 'via', 'fd40::1');
  await must('ip', '-n', nameOf('h'), 'route', 'add', '10.241.1.0/24', 'via', '192.0.2.2');
  await must('ip', '-n', nameOf('o'), 'route', 'add', '10.241.0.0/24', 'via', '192.0.2.1');
  for (const pod of everybody)
    for (const ip of ips.get(pod)!) {
      for (const port of ports) servers.set(`${ip} tcp ${port}`, NetnsSocket.listen(netnsOf(pod), 'tcp', ip, port));
      for (const port of ports) servers.set(`${ip} udp ${port}`, NetnsSocket.listen(netnsOf(pod), 'udp', ip, port));
    }
  await proxy.apply({
    routes: [
      {
        id: 'y/b:',
        protocol: 'tcp',
        virtual: { ip: virtual, port: 8080 },
        backends: [{ ip: ips.get('y/b')![0]!, port: 80, local: true }],
      },
    ],
    podRanges: ['10.241.0.0/16'],
  });
  state = newState();
  filter = makeFilter();
  await settle();
}
async function stop(): Promise<void> {
  for (const one of [...open, ...servers.values()]) one[Symbol.dispose]();
  await filter?.[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  for (const name of ['h', 'o', ...local.map((pod) => pod.replace('/', ''))])
    await systemExec.run(['ip', 'netns', 'delete', nameOf(name)]);
  rmSync(folder, { recursive: true, force: true });
}

/** Binds the other host's pods to their own addresses: they share a namespace. */
interface Try {
  readonly from: string;
  readonly to: string;
  readonly ip: string;
  readonly port: number;
  readonly kind: 'tcp' | 'udp';
}
let count = 0;
/** Which of them arrive, all tried at once. What is expected is waited for; the rest has a while longer. */
async function arrived(tries: readonly Try[], expected: readonly boolean[]): Promise<boolean[]> {
  using stack = new DisposableStack();
  const seen = tries.map(() => false);
  const marks = new Map<string, number>();
  const sockets = tries.map((one, index) => {
    if (one.kind === 'tcp') return stack.use(NetnsSocket.connect(netnsOf(one.from), one.ip, one.port));
    const mark = `probe ${++count}`;
    marks.set(mark, index);
    const socket = stack.use(NetnsSocket.make(netnsOf(one.from), 'udp', one.ip));
    socket.send(mark, one.ip, one.port);
    return socket;
  });
  const look = () => {
    for (const server of servers.values())
      for (let text = server.read(); text !== undefined; text = server.read()) {
        const index = marks.get(text);
        if (index !== undefined) seen[index] = true;
      }
    tries.forEach((one, index) => {
      if (one.kind === 'tcp') seen[index] ||= sockets[index]!.isConnected;
    });
  };
  await until(() => {
    look();
    return expected.every((wanted, index) => !wanted || seen[index]);
  }).catch(() => {});
  const endMs = systemClock.monotonicMs() + settleMs;
  await until(() => systemClock.monotonicMs() > endMs);
  look();
  return seen;
}
/** All pods of this host to all pods, and what the walker expects. */
function matrix(): { tries: Try[]; expected: boolean[] } {
  const tries = local.flatMap((from) =>
    everybody.flatMap((to) =>
      ips.get(to)!.flatMap((ip) => [
        { from, to, ip, port: 80, kind: 'tcp' as const },
        { from, to, ip, port: 81, kind: 'udp' as const },
      ]),
    ),
  );
  const expected = tries.map(({ from, ip, port, kind }) => {
    const family = ip.includes(':');
    const saddr = ips.get(from)!.find((each) => each.includes(':') === family)!;
    return table.passes({ saddr, daddr: ip, protocol: kind, dport: port });
  });
  return { tries, expected };
}
async function compare(): Promise<number> {
  const { tries, expected } = matrix();
  const seen = await arrived(tries, expected);
  const wrong = tries.filter((_one, index) => seen[index] !== expected[index]);
  expect(wrong.map(({ from, to, kind }) => `${from} → ${to} ${kind}`)).toEqual([]);
  return expected.filter((each) => !each).length;
}
const one = async (from: string, ip: string, port: number, wanted: boolean) =>
  (await arrived([{ from, to: '', ip, port, kind: 'tcp' }], [wanted]))[0];

/** Says whether port 91 of the first argument opens within a second, asked from the second. */
const dialCode = `const [host, localAddress] = process.argv.slice(-2);
  const end = (text) => { console.log(text); process.exit(); };
  require('node:net').connect({ host, port: 91, localAddress: localAddress || undefined }).once('connect', () => end('open')).once('error', () => end('none'));
  setTimeout(() => end('none'), 1000);`;
const only = (pod: string) => ({ matchLabels: { pod } });
const ns = (name: string) => ({ matchLabels: { ns: name } });
const deny = (...policyTypes: string[]): Spec => ({ podSelector: {}, policyTypes });
const rows: [string, (readonly [string, Spec])[], boolean][] = [
  ['no policy', [], false],
  ['default deny of ingress', [['x', deny('Ingress')]], true],
  ['default deny of egress', [['x', deny('Egress')]], true],
  ['both, everywhere', namespaces.map((name) => [name, deny('Ingress', 'Egress')] as const), true],
  [
    'by pod, namespace and both; a named port; a range',
    [
      ['x', { podSelector: only('a'), ingress: [{ from: [{ podSelector: only('b') }] }] }],
      [
        'x',
        {
          podSelector: only('b'),
          ingress: [{ from: [{ namespaceSelector: ns('y') }], ports: [{ port: 'serve-80-tcp' }] }],
        },
      ],
      ['x', { podSelector: only('c'), ingress: [{ from: [{ namespaceSelector: ns('z'), podSelector: only('a') }] }] }],
      ['y', { podSelector: {}, ingress: [{ ports: [{ port: 81, endPort: 90, protocol: 'UDP' }] }] }],
    ],
    true,
  ],
  [
    'egress by pod and named port, ingress of the other side as well',
    [
      [
        'x',
        {
          podSelector: {},
          policyTypes: ['Egress'],
          egress: [{ to: [{ namespaceSelector: ns('y') }], ports: [{ port: 'serve-81-udp', protocol: 'UDP' }] }],
        },
      ],
      ['y', { podSelector: only('a'), ingress: [{ from: [{ namespaceSelector: ns('x'), podSelector: only('c') }] }] }],
    ],
    true,
  ],
  [
    'addresses with an exception',
    [
      [
        'x',
        {
          podSelector: {},
          policyTypes: ['Egress'],
          egress: [
            {
              to: [
                {
                  ipBlock: {
                    cidr: '10.241.0.0/16',
                    except: ['10.241.1.3/32', '10.241.1.3/31', '10.241.1.3/32', 'fd00::/8'],
                  },
                },
              ],
            },
          ],
        },
      ],
      [
        'z',
        { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '10.241.0.0/30', except: ['10.241.0.2/32'] } }] }] },
      ],
    ],
    true,
  ],
];

describe.skipIf(!able)('network policies', () => {
  beforeAll(start, 60_000);
  afterAll(stop, 60_000);

  test.each(rows)('%s', async (_name, policies, isClosing) => {
    policies.forEach(([namespace, spec], index) => state.setPolicy(`${namespace}/p${index}`, namespace, spec));
    await settle();
    expect((await compare()) > 0).toBe(isClosing);
    policies.forEach(([namespace], index) => state.setPolicy(`${namespace}/p${index}`, namespace, undefined));
    await settle();
    expect(complaints).toEqual([]);
  });

  test('the host reaches its own pods; pods reach the host as their policies say', async () => {
    state.setPolicy('x/p', 'x', deny('Ingress', 'Egress'));
    await settle();
    using probe = NetnsSocket.connect(pathOf('h'), ips.get('x/a')![0]!, 80);
    await until(() => probe.isConnected);
    using _server = NetnsSocket.listen(pathOf('h'), 'tcp', '10.241.0.1', 90);
    expect(await one('x/a', '10.241.0.1', 90, false)).toBe(false);
    expect(await one('y/a', '10.241.0.1', 90, true)).toBe(true);
    using itself = NetnsSocket.connect(pathOf('h'), '10.241.0.1', 90);
    await until(() => itself.isConnected);
    state.setPolicy('x/p', 'x', undefined);
    await settle();
  });

  test('behind a service it is the pod that counts', async () => {
    state.setPolicy('x/p', 'x', {
      podSelector: only('a'),
      policyTypes: ['Egress'],
      egress: [{ to: [{ namespaceSelector: ns('y'), podSelector: only('b') }], ports: [{ port: 80 }] }],
    });
    state.setPolicy('x/q', 'x', {
      podSelector: only('b'),
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: `${virtual}/32` } }] }],
    });
    await settle();
    expect(await one('x/a', virtual, 8080, true)).toBe(true);
    expect(await one('x/b', virtual, 8080, false)).toBe(false);
    expect(await one('x/c', virtual, 8080, true)).toBe(true);
    for (const name of ['p', 'q']) state.setPolicy(`x/${name}`, 'x', undefined);
    await settle();
  });

  test('a connection that stands goes on; a stopped plugin and the next one leave no gap', async () => {
    const to = ips.get('x/a')![0]!;
    using stands = NetnsSocket.connect(netnsOf('y/a'), to, 80);
    await until(() => stands.isConnected);
    state.setPolicy('x/p', 'x', deny('Ingress'));
    await settle();
    expect(stands.send('still')).toBe(true);
    expect(await one('y/a', to, 80, false)).toBe(false);
    await filter[Symbol.asyncDispose]();
    expect(await one('y/a', to, 80, false)).toBe(false);
    filter = makeFilter();
    state = newState();
    state.setPolicy('x/p', 'x', deny('Ingress'));
    await settle();
    expect(await one('y/a', to, 80, false)).toBe(false);
    expect(stands.isConnected).toBe(true);
    await exec.run(['nft', 'delete', 'table', 'inet', `pol_${id}`]);
    expect(await filter.check()).toBe(false);
    await settle();
    expect(await filter.check()).toBe(true);
    expect(await one('y/a', to, 80, false)).toBe(false);
    state.setPolicy('x/p', 'x', undefined);
    await settle();
  });

  test('a pod that nobody has decided about passes nothing, in no direction', async () => {
    state.setPod('z/c', undefined);
    await settle();
    expect(await one('y/a', ips.get('z/c')![0]!, 80, false)).toBe(false);
    expect(await one('z/c', ips.get('y/a')![0]!, 80, false)).toBe(false);
    state.setPod('z/c', factsOf('z/c'));
    await settle();
    expect(await one('z/c', ips.get('y/a')![0]!, 80, true)).toBe(true);
  });

  test('a link-local or invented address is no way round', async () => {
    const linkLocal = async (netns: string, device: string) => {
      const shown = await systemExec.run(['ip', '-o', '-6', 'address', 'show', 'dev', device, 'scope', 'link'], {
        netns,
      });
      return /inet6 (fe80\S+)\//.exec(shown.stdout)?.[1];
    };
    const bridge = await until(() => linkLocal(pathOf('h'), 'ptnp0'));
    const neighbour = await until(() => linkLocal(netnsOf('y/a'), 'eth0'));
    using _host = NetnsSocket.listen(pathOf('h'), 'tcp', '::', 91);
    using _pod = NetnsSocket.listen(netnsOf('y/a'), 'tcp', '::', 91);
    await must('ip', '-n', nameOf('xa'), 'address', 'add', '10.77.0.9/32', 'dev', 'eth0');
    await must('ip', '-n', nameOf('h'), 'route', 'add', '10.77.0.9/32', 'dev', 'ptnp0');
    const dial = async (ip: string, from = '') =>
      (
        await systemExec.run([process.execPath, '-e', dialCode, '--', ip, from], { netns: netnsOf('x/a') })
      ).stdout.trim();
    const ways: (readonly [string, string?])[] = [
      [`${bridge}%eth0`],
      [`${neighbour}%eth0`],
      ['10.241.0.1', '10.77.0.9'],
    ];
    // Ways they are: without the filter each opens, as soon as the addresses have been probed for doubles.
    await filter.purge();
    for (const way of ways) await until(async () => (await dial(...way)) === 'open');
    state.setPolicy('x/p', 'x', deny('Ingress', 'Egress'));
    await settle();
    expect(await Promise.all(ways.map((way) => dial(...way)))).toEqual(['none', 'none', 'none']);
    state.setPolicy('x/p', 'x', undefined);
    await settle();
  });

  test('bridged packets meet the rules here, and a purge leaves no table', async () => {
    expect(await filter.weakness()).toBeUndefined();
    await exec.run(['sysctl', '-q', '-w', 'net.bridge.bridge-nf-call-iptables=0']);
    expect(await filter.weakness()).toBeUndefined(); // mended
    const shown = await exec.run(['sysctl', '-n', 'net.bridge.bridge-nf-call-iptables']);
    expect(shown.stdout.trim()).toBe('1');
    await filter.purge();
    expect((await exec.run(['nft', 'list', 'tables'])).stdout).not.toContain(`pol_${id}`);
  });
});
