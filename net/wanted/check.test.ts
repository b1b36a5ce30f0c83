import { expect, test } from 'bun:test';
import type { Lease } from '../backend.ts';
import { checkWork, type WorkScope } from './check.ts';

const peer = (node: string, index: number): Lease => ({
  node,
  subnets: [`10.244.${index}.0/24`, `fd00:${index}::/64`],
  endpoint: `192.0.2.${index}`,
  backend: 'tunnel',
  data: {},
});
const scope: WorkScope = {
  local: { node: 'n1', subnets: ['10.244.1.0/24', 'fd00:1::/64'], endpoint: '192.0.2.1', underlayMtuBytes: 1500 },
  peers: [peer('n2', 2), peer('n3', 3)],
  podRanges: ['10.244.0.0/16', 'fd00::/16'],
};
const links = [
  { name: 'vx', type: 'vxlan', vni: 7, port: 8472 },
  { name: 'wg', type: 'wireguard', port: 51_820, mtuBytes: 1_420 },
];
const key = `${'A'.repeat(42)}A=`;
const mac = '0a:00:00:00:00:02';
const mistakesOf = (work: unknown): string[] => {
  const checked = checkWork(work, scope);
  return checked.ok ? [] : checked.mistakes.map(({ at, why }) => (at ? `${at}: ${why}` : why));
};

test('a list of all that there is', () => {
  const work = {
    links,
    addresses: [
      { link: 'vx', address: '10.244.1.0' },
      { link: 'wg', address: 'fd00:1::1' },
    ],
    routes: [
      { to: '10.244.2.0/24', link: 'vx', via: '10.244.2.0' },
      { to: 'fd00:3::/64', link: 'wg' },
      { to: '10.244.3.0/24', via: '192.0.2.3' },
    ],
    neighbours: [{ link: 'vx', ip: '10.244.2.0', mac }],
    forwarding: [{ link: 'vx', mac, to: '192.0.2.2' }],
    peers: [
      {
        link: 'wg',
        publicKey: key,
        endpoint: { ip: '192.0.2.2', port: 51_820 },
        allowed: ['10.244.2.0/24', 'fd00:2::/64'],
        keepaliveSeconds: 25,
      },
    ],
    drops: [{ direction: 'from', range: '10.244.9.0/24' }],
  };
  expect(mistakesOf(work)).toEqual([]);
  expect(mistakesOf({})).toEqual([]);
});

const route = (to: unknown, more: object = { link: 'vx' }) => ({ links, routes: [{ to, ...more }] });
const address = (text: unknown) => ({ links, addresses: [{ link: 'vx', address: text }] });
const wireguard = (more: object) => ({
  links,
  peers: [{ link: 'wg', publicKey: key, endpoint: { ip: '192.0.2.2', port: 51_820 }, allowed: [], ...more }],
});
test.each<[string, unknown, string]>([
  ['no list', 'ip link add x', 'it is no list of work'],
  ['a command', { commands: ['reboot'] }, 'commands: there is no such work'],
  ['a field more', { links: [{ ...links[0], exec: '/bin/sh' }] }, 'links[0].exec: there is no such field'],
  ['more than may be', { routes: Array.from({ length: 4_097 }, () => ({})) }, 'routes: 4097 are more than 4096'],
  ['a list that is none', { links: { length: 1 } }, 'links: it must be a list'],
  ['the name of a path', { links: [{ ...links[0], name: '../eth0' }] }, 'links[0].name: "../eth0" is no label'],
  ['a long name', { links: [{ ...links[0], name: 'docker0' }] }, 'links[0].name: "docker0" is no label'],
  [
    'another kind of link',
    { links: [{ name: 'a', type: 'macvlan', port: 8472 }] },
    'links[0].type: "macvlan" is neither',
  ],
  ['a port of the system', { links: [{ ...links[0], port: 53 }] }, 'links[0].port: it must be from 1024'],
  ['a number that is none', { links: [{ ...links[0], vni: '7; reboot' }] }, 'links[0].vni: '],
  ['an MTU beyond sense', { links: [{ ...links[0], mtuBytes: 68 }] }, 'links[0].mtuBytes: '],
  ['a link twice', { links: [links[0], links[0]] }, 'links[1].name: it is there twice'],
  [
    "another's link",
    { routes: [{ to: '10.244.2.0/24', link: 'eth0' }] },
    'routes[0].link: "eth0" is no link of this backend',
  ],
  ['the default route', route('0.0.0.0/0'), 'routes[0].to: "0.0.0.0/0" lies in no peer'],
  ['the default route of IPv6', route('::/0'), 'routes[0].to: "::/0" lies in no peer'],
  ['half of everything', route('0.0.0.0/1'), 'routes[0].to: '],
  ['a range of services', route('10.96.0.0/16'), 'routes[0].to: '],
  ["this host's own subnet", route('10.244.1.0/24'), 'routes[0].to: '],
  ['all pods', route('10.244.0.0/16'), 'routes[0].to: '],
  ['loopback', route('127.0.0.0/8'), 'routes[0].to: '],
  ['a metadata service', route('169.254.169.254/32'), 'routes[0].to: '],
  ['words behind a range', route('10.244.2.0/24 dev eth0'), 'routes[0].to: '],
  ['a line more', route('10.244.2.0/24\nlink del eth0'), 'routes[0].to: '],
  ['bits below the prefix', route('10.244.2.7/24'), 'routes[0].to: '],
  ['IPv4 in disguise', route('::ffff:10.244.2.0/120'), 'routes[0].to: '],
  ['a zone', route('fd00:2::%eth0/64'), 'routes[0].to: '],
  ['a hop that is no peer', route('10.244.2.0/24', { via: '192.0.2.9' }), 'routes[0].via: "192.0.2.9" is no peer'],
  ['a hop outside', route('10.244.2.0/24', { link: 'vx', via: '192.0.2.2' }), 'routes[0].via: '],
  ['no hop at all', route('10.244.2.0/24', {}), 'routes[0].via: '],
  ['a loopback address', address('127.0.0.1'), 'addresses[0].address: "127.0.0.1" is no address'],
  ["the gateway's address", address('192.0.2.1'), 'addresses[0].address: '],
  ['an address that covers all pods', address('10.244.1.1/16'), 'addresses[0].address: '],
  ['an address with a length', address('10.244.1.1/24'), 'addresses[0].address: '],
  ['a neighbour outside', { links, neighbours: [{ link: 'vx', ip: '10.244.1.5', mac }] }, 'neighbours[0].ip: '],
  [
    'all hardware addresses',
    { links, neighbours: [{ link: 'vx', ip: '10.244.2.1', mac: 'ff:ff:ff:ff:ff:ff' }] },
    'neighbours[0].mac: ',
  ],
  ['forwarding to a stranger', { links, forwarding: [{ link: 'vx', mac, to: '198.51.100.1' }] }, 'forwarding[0].to: '],
  [
    'forwarding over a tunnel',
    { links, forwarding: [{ link: 'wg', mac, to: '192.0.2.2' }] },
    'forwarding[0].link: "wg" is no vxlan link',
  ],
  ['a key that is none', wireguard({ publicKey: '/etc/shadow' }), 'peers[0].publicKey: '],
  ['an endpoint elsewhere', wireguard({ endpoint: { ip: '198.51.100.1', port: 51_820 } }), 'peers[0].endpoint: '],
  ['no endpoint', wireguard({ endpoint: undefined }), 'peers[0].endpoint: '],
  ['an endpoint with more', wireguard({ endpoint: { ip: '192.0.2.2', port: 1, device: 'x' } }), 'peers[0].endpoint: '],
  ['everything allowed', wireguard({ allowed: ['0.0.0.0/0'] }), 'peers[0].allowed[0]: '],
  [
    'a peer over vxlan',
    { links, peers: [{ link: 'vx', publicKey: key, allowed: [] }] },
    'peers[0].link: "vx" is no wireguard link',
  ],
  ['drops of what is no pod', { drops: [{ direction: 'to', range: '0.0.0.0/0' }] }, 'drops[0].range: '],
  [
    'a direction with more',
    { drops: [{ direction: 'from } accept', range: '10.244.9.0/24' }] },
    'drops[0].direction: ',
  ],
  ['a prototype', JSON.parse('{"__proto__":{"links":[]}}'), '__proto__: there is no such work'],
])('refused by name: %s', (_what, work, mistake) => {
  expect(mistakesOf(work)[0]).toStartWith(mistake);
});

test('two peers cannot have one range; before there are peers there is no route', () => {
  const peers = ['A', 'B'].map((letter) => ({
    link: 'wg',
    publicKey: `${letter.repeat(42)}A=`,
    endpoint: { ip: '192.0.2.2', port: 51_820 },
    allowed: ['10.244.2.0/24'],
  }));
  expect(mistakesOf({ links, peers })).toEqual(['peers[1].allowed[0]: "10.244.2.0/24" is another peer\'s already']);
  const alone = checkWork(route('10.244.2.0/24'), { ...scope, peers: [] });
  expect(alone.ok).toBe(false);
});
