import { expect, test } from 'bun:test';
import { macOfIp, netnsReference, vethName } from '../link/names.ts';
import { hostBatch, hostPortCommands, nftTables, podBatch, shapingArguments } from './bridge-plan.ts';
import { parseForwarding } from './forwarding.ts';

const shape = {
  bridge: 'br9',
  ranges: [{ family: 4, cidr: '10.1.2.0/24', gateway: '10.1.2.1', prefix: 24 }],
  mtuBytes: 1400,
  tableName: 'pods',
  podRanges: ['10.1.0.0/16'],
  serviceRanges: ['10.9.0.0/16'],
} as const;
const six = { family: 6, cidr: 'fd01:2::/64', gateway: 'fd01:2::1', prefix: 64 } as const;
const dual = { ...shape, ranges: [...shape.ranges, six], podRanges: ['10.1.0.0/16', 'fd01::/16'] };

test('names: stable, short, and only namespaces are namespaces', () => {
  expect(vethName('uid-1')).toBe(vethName('uid-1'));
  expect(vethName('uid-1')).not.toBe(vethName('uid-2'));
  expect(vethName('uid-1').length).toBeLessThanOrEqual(15);
  expect(macOfIp('10.1.2.255')).toBe('0a:58:0a:01:02:ff');
  expect(netnsReference('/proc/77/ns/net')).toBe('77');
  expect(netnsReference('/run/netns/h1')).toBe('h1');
  for (const wrong of ['/proc/x/ns/net', '/run/netns/a b', '/etc/passwd', '7\nlink delete eth0'])
    expect(() => netnsReference(wrong)).toThrow('names no network namespace');
});

test('a pod costs one batch on the host and one inside', () => {
  const veth = vethName('u');
  expect(hostBatch(shape, 'u', '/proc/77/ns/net').trim().split('\n')).toEqual([
    `link add ${veth} mtu 1400 type veth peer name eth0 mtu 1400 netns 77`,
    `link set dev ${veth} addrgenmode none`,
    `link set dev ${veth} master br9 up`,
    `link set dev ${veth} type bridge_slave hairpin on`,
  ]);
  expect(podBatch(shape, ['10.1.2.7'])).toContain('route replace default via 10.1.2.1 dev eth0');
});

test('only what leaves pods and services is masqueraded', () => {
  const table = nftTables(shape, [
    { uid: 'u', ips: ['10.1.2.7'], hostPorts: [{ protocol: 'tcp', hostPort: 80, podPort: 8080 }] },
  ]);
  expect(table).toContain('elements = { 10.1.2.0/24, 10.1.0.0/16, 10.9.0.0/16 }');
  expect(table).toContain('ip saddr 10.1.2.0/24 ip daddr != @inside');
  expect(table).toContain('elements = { tcp . 80 : 10.1.2.7 . 8080 }');
});

test('host ports on one address have a map of their own', () => {
  const record = {
    uid: 'u',
    ips: ['10.1.2.7'],
    hostPorts: [
      { protocol: 'tcp', hostPort: 80, podPort: 8080 },
      { protocol: 'udp', hostPort: 53, podPort: 53, hostIp: '127.0.0.1' },
      { protocol: 'tcp', hostPort: 81, podPort: 81, hostIp: '0.0.0.0' },
    ],
  } as const;
  expect(hostPortCommands('add', shape, record)).toBe(
    'add element ip pods host_ports { tcp . 80 : 10.1.2.7 . 8080, tcp . 81 : 10.1.2.7 . 81 }\n' +
      'add element ip pods host_ip_ports { 127.0.0.1 . udp . 53 : 10.1.2.7 . 53 }\n',
  );
  expect(hostPortCommands('delete', shape, record)).toBe(
    'delete element ip pods host_ports { tcp . 80, tcp . 81 }\ndelete element ip pods host_ip_ports { 127.0.0.1 . udp . 53 }\n',
  );
  expect(hostPortCommands('add', shape, { ...record, hostPorts: [] })).toBe('');
  expect(nftTables(shape, [record])).toContain('elements = { 127.0.0.1 . udp . 53 : 10.1.2.7 . 53 }');
});

test('both families: an address, a route, a table and the ports of each', () => {
  const record = {
    uid: 'u',
    ips: ['10.1.2.7', 'fd01:2::7'],
    hostPorts: [
      { protocol: 'tcp', hostPort: 80, podPort: 8080 },
      { protocol: 'sctp', hostPort: 9, podPort: 9, hostIp: '2001:db8::1' },
      { protocol: 'tcp', hostPort: 81, podPort: 81, hostIp: '::' },
    ],
  } as const;
  expect(podBatch(dual, record.ips)).toContain('address replace fd01:2::7/64 nodad dev eth0');
  expect(podBatch(dual, record.ips)).toContain('route replace default via fd01:2::1 dev eth0');
  expect(podBatch(dual, ['10.1.2.7'])).not.toContain('fd01');
  expect(hostPortCommands('add', dual, record)).toBe(
    'add element ip pods host_ports { tcp . 80 : 10.1.2.7 . 8080 }\n' +
      'add element ip6 pods host_ports { tcp . 80 : fd01:2::7 . 8080, tcp . 81 : fd01:2::7 . 81 }\n' +
      'add element ip6 pods host_ip_ports { 2001:db8::1 . sctp . 9 : fd01:2::7 . 9 }\n',
  );
  const tables = nftTables(dual, [record]);
  expect(tables).toContain('ip6 saddr fd01:2::/64 ip6 daddr != @inside ip6 daddr != ff00::/8');
  expect(tables).toContain('elements = { 10.1.2.0/24, 10.1.0.0/16, 10.9.0.0/16 }');
  expect(tables).toContain('elements = { fd01:2::/64, fd01::/16 }');
});

test('a pod that reaches another by a service is seen as itself where its answers pass the rules', () => {
  const hidden = 'ct status dnat ip saddr 10.1.2.0/24 ip daddr 10.1.2.0/24 oifname';
  expect(nftTables(dual, [])).toContain(hidden);
  const seen = nftTables(dual, [], true);
  expect(seen).not.toContain(hidden);
  expect(seen).toContain('ct status dnat ct original ip daddr != @inside ip saddr 10.1.2.0/24');
  expect(seen).toContain('ct status dnat ct original ip6 daddr != @inside ip6 saddr fd01:2::/64');
});

test('traffic is shaped with room for one large segment', () => {
  expect(shapingArguments('eth0', 8_000_000).join(' ')).toBe(
    'tc qdisc replace dev eth0 root tbf rate 8000000bit burst 65536b latency 50ms',
  );
  expect(shapingArguments('eth0', 1e9)).toContain('2500000b');
});

const docker = '-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n';
test.each([
  ['nobody drops', '-P FORWARD ACCEPT\n', undefined],
  ['a policy drops', '-P FORWARD DROP\n', 'FORWARD'],
  ['a rule drops', '-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-port-unreachable\n', 'FORWARD'],
  ['Docker drops', docker, 'DOCKER-USER'],
])('forwarding: %s', (_name, text, chain) => expect(parseForwarding(text, 'br9').chain).toBe(chain as 'FORWARD'));

test('own rules are found by their comment', () => {
  const own = '-A DOCKER-USER -s 10.1.0.0/16 -m comment --comment "pintle br9" -j ACCEPT';
  expect(parseForwarding(`${docker}${own}\n${own.replace('br9', 'br8')}\n`, 'br9').present).toEqual([own]);
});
