import { expect, test } from 'bun:test';
import { HoldQueue } from './hold-queue.ts';

const frame = (mark: number, size = 1) => new Uint8Array(size).fill(mark);
const queueOf = (change: Partial<ConstructorParameters<typeof HoldQueue>[0]> = {}) =>
  new HoldQueue({ delayMs: 50, jitterMs: 0, lossPercent: 0, random: () => 0.5, ...change });

test('a frame leaves when its time has come, not before', () => {
  const queue = queueOf();
  expect(queue.untilMs(0)).toBe(Number.POSITIVE_INFINITY);
  queue.put(frame(1), 10);
  queue.put(frame(2), 15);
  expect(queue.untilMs(20)).toBe(40);
  expect(queue.due(59)).toBeUndefined();
  expect(queue.due(60)).toEqual(frame(1));
  expect(queue.due(60)).toBeUndefined();
  expect(queue.untilMs(70)).toBe(0);
  expect(queue.due(70)).toEqual(frame(2));
});

test('jitter keeps the order', () => {
  const chances = [1, 0];
  const queue = queueOf({ jitterMs: 20, random: () => chances.shift() ?? 0.5 });
  const seen: number[] = [];
  queue.put(frame(1), 0); // the loss draw takes 1, jitter 0: due at 30
  queue.put(frame(2), 1);
  for (const now of [29, 30, 50, 51, 70]) for (let one = queue.due(now); one; one = queue.due(now)) seen.push(one[0]!);
  expect(seen).toEqual([1, 2]);
});

test('what is lost is lost, and the queue is bounded', () => {
  const lossy = queueOf({ lossPercent: 60 });
  lossy.put(frame(1), 0);
  expect(lossy.untilMs(0)).toBe(Number.POSITIVE_INFINITY);
  const full = queueOf();
  for (let count = 0; count < 70; count++) full.put(frame(count, 2 ** 20), 0);
  let left = 0;
  while (full.due(1_000)) left++;
  expect(left).toBe(64);
});

test('many frames pass in order', () => {
  const queue = queueOf({ delayMs: 0 });
  let next = 0;
  for (let count = 0; count < 5_000; count++) {
    queue.put(new Uint8Array(new Uint32Array([count]).buffer), count);
    for (let one = queue.due(count); one; one = queue.due(count)) expect(new Uint32Array(one.buffer)[0]).toBe(next++);
  }
  expect(next).toBe(5_000);
});
