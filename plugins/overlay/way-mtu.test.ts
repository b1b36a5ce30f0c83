import { expect, test } from 'bun:test';
import type { MeasuredWay } from '#sdk';
import { WayMtu } from './way-mtu.ts';

const log = { debug() {}, info() {}, warn() {}, error() {}, with: () => log };
const scope = { signal: new AbortController().signal };
/** Each measurement in turn; an absent way did not answer. */
function world(...answers: Record<string, number>[]) {
  const asked: (readonly MeasuredWay[])[] = [];
  let changes = 0;
  const mtu = new WayMtu(
    { clock: undefined as never, log: log as never, scope },
    async (ways) => {
      asked.push(ways);
      return new Map(Object.entries(answers.shift() ?? {}));
    },
    () => void changes++,
  );
  return { mtu, asked, changes: () => changes };
}

test('the least of all ways holds, and never more than the link', async () => {
  const { mtu, asked, changes } = world({ a: 1500, b: 1420 }, { b: 1420 }, { a: 1500, b: 1420 });
  expect(mtu.over(['a', 'b', 'silent'], 1500)).toBe(1500); // nothing is known yet
  await mtu.look();
  expect(mtu.over(['a', 'b', 'silent'], 1500)).toBe(1420);
  expect(mtu.over(['a', 'b'], 1400)).toBe(1400);
  expect(mtu.over(['a'], 1500)).toBe(1500); // b has gone
  expect(changes()).toBe(1);
  mtu.over(['a', 'b'], 1500);
  await mtu.look();
  expect(asked.at(-1)).toEqual([
    { address: 'a', linkMtuBytes: 1500, knownBytes: 1500 },
    { address: 'b', linkMtuBytes: 1500, knownBytes: 1420 },
  ]);
  expect(changes()).toBe(1);
});

test('a cut counts when it was measured twice, and what comes back at once', async () => {
  const { mtu, changes } = world({ a: 1500 }, { a: 1400 }, { a: 1500 }, { a: 1400 }, { a: 1400 }, {}, { a: 1500 });
  mtu.over(['a'], 1500);
  const values: number[] = [];
  for (let look = 0; look < 5; look++) {
    await mtu.look();
    values.push(mtu.over(['a'], 1500));
  }
  expect(values).toEqual([1500, 1500, 1400, 1400, 1500]); // lost packets, a cut, silence, and back
  expect(changes()).toBe(3);
});
