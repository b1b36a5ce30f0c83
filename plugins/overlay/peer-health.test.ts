import { expect, test } from 'bun:test';
import { PeerHealth, seenElsewhere } from './peer-health.ts';

const peer = (node: string, endpoint = '192.0.2.1') => ({
  node,
  endpoint,
  subnets: [],
  backend: 'wireguard',
  data: {},
});
const at = (seconds: number) => ({ ms: 1_000_000_000 + seconds * 1_000, monotonicMs: seconds * 1_000 });
const sight = (node: string, handshakeSeconds: number | undefined, receivedBytes?: number) => ({
  node,
  ...(handshakeSeconds === undefined ? {} : { lastHandshake: at(handshakeSeconds).ms }),
  ...(receivedBytes === undefined ? {} : { receivedBytes }),
});

test('a peer that has never answered is given up after 20 s, and looked for until then', () => {
  const health = new PeerHealth();
  const look = (seconds: number) => [
    health.judge([peer('a')], [sight('a', undefined, 0)], at(seconds)).join(),
    health.isWaiting,
  ];
  expect([look(0), look(20), look(21)]).toEqual([
    ['', true],
    ['', true],
    ['a', false],
  ]);
});

test('silence counts long before the session ends; what comes afterwards counts at once', () => {
  const health = new PeerHealth();
  const look = (seconds: number, handshake: number, bytes: number) =>
    health.judge([peer('a')], [sight('a', handshake, bytes)], at(seconds));
  expect([look(0, 0, 148), look(30, 0, 180), look(60, 0, 180), look(91, 0, 180)]).toEqual([[], [], [], ['a']]);
  expect(look(120, 0, 180)).toEqual(['a']);
  expect(look(150, 149, 360)).toEqual([]);
});

test('packets that come without a session are one way only', () => {
  const health = new PeerHealth();
  const look = (seconds: number) => health.judge([peer('a')], [sight('a', 0, 100 + seconds)], at(seconds));
  expect([look(0), look(100), look(199), look(230)]).toEqual([[], [], [], ['a']]);
  expect(health.isWaiting).toBe(false);
});

test('a backend that knows handshakes alone, and one that knows nothing', () => {
  const health = new PeerHealth();
  expect(health.judge([peer('a')], [sight('a', 0)], at(0))).toEqual([]);
  expect(health.judge([peer('a')], [sight('a', 0)], at(201))).toEqual(['a']);
  expect(health.judge([peer('a')], undefined, at(202))).toEqual([]);
});

test('who is no peer any more is forgotten; what an earlier life knew holds until there is evidence', () => {
  const health = new PeerHealth();
  health.remember(['a', 'gone']);
  expect(health.judge([peer('a')], [sight('a', undefined, 0)], at(0))).toEqual(['a']);
  expect(health.judge([peer('a')], [sight('a', 1, 92)], at(1))).toEqual([]);
  health.remember(['a']);
  expect(health.judge([], [], at(2))).toEqual([]);
  expect(health.judge([peer('a')], [sight('a', undefined, 0)], at(3))).toEqual([]);
});

test('addresses that others see are told without their ports', () => {
  const peers = [peer('a', '192.0.2.1'), peer('b', '2001:db8::2'), peer('c', '10.0.0.3')];
  const sights = [
    { node: 'a', seenEndpoint: '192.0.2.1:51820' },
    { node: 'b', seenEndpoint: '[2001:db8::2]:51820' },
    { node: 'c', seenEndpoint: '198.51.100.3:1024' },
    { node: 'stranger', seenEndpoint: '198.51.100.4:1' },
  ];
  expect(seenElsewhere(peers, sights)).toEqual([{ node: 'c', endpoint: '198.51.100.3' }]);
});
