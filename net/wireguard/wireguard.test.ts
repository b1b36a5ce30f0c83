import { expect, test } from 'bun:test';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { parseDump } from './dump.ts';
import { isKey, newKeyPair, presharedKey, secretMark } from './keys.ts';
import { peerSections, planPeers, type WantedPeer } from './plan.ts';
import { chooseImplementation, type ProbeFacts } from './probe.ts';

const key = (letter: string) => `${letter.repeat(42)}A=`;

test('a key pair is one of Curve25519, and only 32 bytes in base64 are a key', () => {
  const pair = newKeyPair();
  const d = Buffer.from(pair.privateKey, 'base64').toString('base64url');
  const x = Buffer.from(pair.publicKey, 'base64').toString('base64url');
  const again = createPublicKey(createPrivateKey({ format: 'jwk', key: { kty: 'OKP', crv: 'X25519', d, x } }));
  expect(again.export({ format: 'jwk' }).x).toBe(x);
  expect(isKey(pair.publicKey)).toBe(true);
  for (const wrong of ['', 'abc', key('A'), `${pair.publicKey}\n`, pair.publicKey.slice(1), `${'x'.repeat(43)}=`])
    expect([wrong, isKey(wrong)]).toEqual([wrong, wrong === key('B')]);
});

test('a pre-shared key is the same on both ends and another for each pair, generation and secret', () => {
  const one = presharedKey('s', 3, ['a', 'b']);
  expect(presharedKey('s', 3, ['b', 'a'])).toBe(one);
  expect(isKey(one)).toBe(true);
  const others = [presharedKey('s', 4, ['a', 'b']), presharedKey('s', 3, ['a', 'c']), presharedKey('t', 3, ['a', 'b'])];
  expect(new Set([one, ...others]).size).toBe(4);
  expect(secretMark('s')).not.toBe(secretMark('t'));
});

const device = `PRIVATE\t${key('p')}\t51820\toff`;
test.each([
  ['nothing set yet', '(none)\t(none)\t35486\toff\n', { listenPort: 35_486, peers: [] }],
  [
    'a peer that never spoke',
    `${device}\n${key('a')}\t(none)\t(none)\t10.0.2.0/24,10.0.1.0/24\t0\t0\t0\toff\n`,
    {
      publicKey: key('p'),
      listenPort: 51_820,
      peers: [
        {
          publicKey: key('a'),
          hasPresharedKey: false,
          allowedIps: ['10.0.1.0/24', '10.0.2.0/24'],
          lastHandshakeS: 0,
          receivedBytes: 0,
          sentBytes: 0,
          keepaliveS: 0,
        },
      ],
    },
  ],
  [
    'a peer over IPv6 with everything, and a field of a later version',
    `${device}\n${key('a')}\t${key('s')}\t[2001:db8::1]:7\t(none)\t1700000000\t12\t34\t25\tnew\n`,
    {
      publicKey: key('p'),
      listenPort: 51_820,
      peers: [
        {
          publicKey: key('a'),
          hasPresharedKey: true,
          endpoint: '[2001:db8::1]:7',
          allowedIps: [],
          lastHandshakeS: 1_700_000_000,
          receivedBytes: 12,
          sentBytes: 34,
          keepaliveS: 25,
        },
      ],
    },
  ],
])('a dump: %s', (_name, text, wanted) => {
  const read = parseDump(text);
  expect(read as unknown).toEqual(wanted);
  expect(JSON.stringify(read)).not.toContain('PRIVATE');
});
test('what is no dump is refused', () => {
  for (const wrong of ['', 'Unable to access interface\n', `${device}\nshort\tline\n`])
    expect(() => parseDump(wrong)).toThrow(/dump/);
});

const wanted = (change: Partial<WantedPeer> = {}): WantedPeer => ({
  node: 'n',
  publicKey: key('a'),
  endpoint: '192.0.2.1:7',
  allowedIps: ['10.0.1.0/24'],
  keepaliveS: 25,
  ...change,
});
const observed = (change: object = {}) => ({
  publicKey: key('a'),
  hasPresharedKey: false,
  endpoint: '192.0.2.1:7',
  allowedIps: ['10.0.1.0/24'],
  lastHandshakeS: 1_000,
  receivedBytes: 0,
  sentBytes: 0,
  keepaliveS: 25,
  ...change,
});
const change = (isNew: boolean, withEndpoint: boolean) => [{ peer: expect.anything(), isNew, withEndpoint }];
test.each([
  ['as it should be', wanted(), [observed()], undefined, [], []],
  ['missing', wanted(), [], undefined, change(true, true), []],
  ['one too many', wanted(), [observed(), observed({ publicKey: key('b') })], undefined, [], [key('b')]],
  ['other subnets', wanted(), [observed({ allowedIps: [] })], undefined, change(false, false), []],
  ['another keepalive', wanted(), [observed({ keepaliveS: 0 })], undefined, change(false, false), []],
  ['it has roamed', wanted(), [observed({ endpoint: '198.51.100.1:9' })], undefined, [], []],
  [
    'it has roamed and fallen silent',
    wanted(),
    [observed({ endpoint: '198.51.100.1:9', lastHandshakeS: 800 })],
    undefined,
    change(false, true),
    [],
  ],
  [
    'its lease has moved',
    wanted({ endpoint: '192.0.2.2:7' }),
    [observed({ endpoint: '198.51.100.1:9' })],
    wanted(),
    change(false, true),
    [],
  ],
  ['a first pre-shared key', wanted({ presharedKey: key('s') }), [observed()], wanted(), change(false, false), []],
  [
    'another pre-shared key, which a dump cannot tell',
    wanted({ presharedKey: key('s') }),
    [observed({ hasPresharedKey: true })],
    wanted({ presharedKey: key('t') }),
    change(false, false),
    [],
  ],
])('the plan for a peer: %s', (_name, peer, present, before, set, remove) => {
  const plan = planPeers([peer], present, 1_000, before && new Map([[before.publicKey, before]]));
  expect(plan as unknown).toEqual({ set, remove });
});

test('sections for wg: an endpoint that has roamed is left out', () => {
  const peer = wanted({ presharedKey: key('s'), keepaliveS: 0, allowedIps: ['10.0.1.0/24', 'fd00::/64'] });
  expect(peerSections([{ peer, isNew: false, withEndpoint: false }])).toBe(
    `[Peer]\nPublicKey = ${key('a')}\nPresharedKey = ${key('s')}\nAllowedIPs = 10.0.1.0/24, fd00::/64\nPersistentKeepalive = off\n`,
  );
  expect(peerSections([{ peer, isNew: true, withEndpoint: true }])).toContain('\nEndpoint = 192.0.2.1:7\n');
});

const facts: ProbeFacts = {
  kernelCode: 2,
  kernelComplaint: 'Error: Unknown device type.',
  hasTools: true,
  hasGo: true,
  hasTun: true,
};
test.each([
  ['the kernel has it', { kernelCode: 0 }, 'kernel', ''],
  ['wireguard-go instead', {}, 'wireguard-go', ''],
  ['no wg', { hasTools: false }, '', 'WIREGUARD_TOOLS_MISSING'],
  ['no root', { kernelComplaint: 'RTNETLINK answers: Operation not permitted' }, '', 'WIREGUARD_FORBIDDEN'],
  ['neither', { hasGo: false }, '', 'WIREGUARD_MISSING'],
  ['no tun device', { hasTun: false }, '', 'TUN_MISSING'],
])('the probe: %s', (_name, differing, type, code) => {
  const all = { ...facts, ...differing };
  if (type) expect(chooseImplementation(all).type as string).toBe(type);
  else expect(() => chooseImplementation(all)).toThrow(expect.objectContaining({ code }) as Error);
  if (!code) expect(chooseImplementation(all).why).toMatch(/^the kernel /);
});
