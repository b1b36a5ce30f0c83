import { expect, test } from 'bun:test';
import {
  followedGenerations,
  generationFor,
  nextRotation,
  type RotatingPeer,
  readPublished,
  writePublished,
} from './generations.ts';
import { newKeyPair } from './keys.ts';

const { publicKey } = newKeyPair();
const end = { publicKey, port: 7, mark: '' };

test('what is published is read again, and nonsense is a reason', () => {
  const published = {
    ends: new Map([
      [7, { ...end, mark: 'm' }],
      [8, end],
    ]),
    sendsOn: 7,
  };
  expect(readPublished(writePublished(published))).toEqual(published);
  for (const [data, reason] of [
    [{}, 'it publishes no public key'],
    [{ 'key.1': 'abc', 'port.1': '7' }, 'its public key of generation 1 is no WireGuard key'],
    [{ 'key.1': publicKey }, 'its port of generation 1 is missing'],
    [{ 'key.1': publicKey, 'port.1': '70000' }, 'its port of generation 1 is 70000'],
    [{ 'key.9999999999999': publicKey, 'port.1': '7' }, 'its generation 9999999999999 is beyond all bounds'],
  ] as const)
    expect(readPublished(data)).toBe(reason);
});

test.each([
  ['the first host of all', [], [], [1]],
  ['one that joins', [], [[4], [4]], [4]],
  ['one that joins while keys change', [], [[4], [4, 5]], [4, 5]],
  ['nothing new', [4], [[4], [3, 4]], [4]],
  ['another began', [4], [[4, 5]], [4, 5]],
  ['it was away for long', [2], [[8], [8, 9]], [2, 9]],
  ['another began the next already', [4, 5], [[5, 6]], [5, 6]],
])('generations to have: %s', (_name, own, others, wanted) => {
  expect(followedGenerations(own, others)).toEqual(wanted);
});

const nowMs = 1_000_000_000;
/** Handshakes by generation, seconds ago. */
const peer = (
  node: string,
  numbers: readonly number[],
  sendsOn: number,
  agoS: Record<number, number>,
): RotatingPeer => ({
  node,
  published: { ends: new Map(numbers.map((number) => [number, end])), sendsOn },
  handshakesS: new Map(Object.entries(agoS).map(([number, ago]) => [Number(number), nowMs / 1000 - ago])),
});

test.each([
  ['only one in common', [4, 5], peer('a', [4], 4, {}), 4],
  ['no session on the new one yet', [4, 5], peer('a', [4, 5], 4, { 4: 10 }), 4],
  ['a session on the new one', [4, 5], peer('a', [4, 5], 4, { 4: 10, 5: 0 }), 5],
  ['no session at all', [4, 5], peer('a', [4, 5], 4, { 4: 200 }), 5],
  ['none in common', [4], peer('a', [6], 6, {}), undefined],
])('packets go by the generation: %s', (_name, own, one, wanted) => {
  expect(generationFor(own, one, nowMs / 1000)).toBe(wanted as number);
});

const started = { generations: [4, 5], sendsOn: 4 };
test.each([
  [
    'no rotation',
    { generations: [4], sendsOn: 4 },
    [peer('a', [4], 4, {})],
    { generations: [4], sendsOn: 4, waiting: [] },
  ],
  [
    'a peer has not followed yet',
    started,
    [peer('a', [4], 4, { 4: 10 }), peer('b', [4, 5], 5, { 5: 0 })],
    { ...started, waiting: [{ node: 'a', reason: 'it has no key of generation 5 yet' }], againAfterMs: 1000 },
  ],
  [
    'no handshake on the new one',
    started,
    [peer('a', [4, 5], 4, { 4: 10 })],
    {
      ...started,
      waiting: [{ node: 'a', reason: 'no handshake on generation 5 yet (UDP port 7 of it)' }],
      againAfterMs: 1000,
    },
  ],
  [
    'this host sends on the new one, the peer does not yet',
    started,
    [peer('a', [4, 5], 4, { 4: 10, 5: 1 })],
    {
      generations: [4, 5],
      sendsOn: 5,
      waiting: [{ node: 'a', reason: 'it still sends on generation 4' }],
      againAfterMs: 1000,
    },
  ],
  [
    'nobody sends on the old one from now on',
    started,
    [peer('a', [4, 5], 5, { 4: 10, 5: 1 })],
    { generations: [4, 5], sendsOn: 5, quietSinceMs: nowMs, waiting: [], againAfterMs: 180_000 },
  ],
  [
    'and that for 180 s',
    { ...started, sendsOn: 5, quietSinceMs: nowMs - 180_000 },
    [peer('a', [4, 5], 5, { 4: 10, 5: 1 })],
    { generations: [5], sendsOn: 5, retire: 4, waiting: [] },
  ],
  [
    'a peer that is gone holds nothing up',
    { ...started, sendsOn: 5, quietSinceMs: nowMs - 180_000 },
    [peer('a', [4], 4, { 4: 500 })],
    { generations: [5], sendsOn: 5, retire: 4, waiting: [] },
  ],
])('the next step: %s', (_name, own, peers, wanted) => {
  expect(nextRotation(own, peers, nowMs) as unknown).toEqual(wanted);
});
