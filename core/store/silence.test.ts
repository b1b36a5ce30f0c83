import { expect, test } from 'bun:test';
import { systemClock } from '#base';
import { listenForSilence } from './silence.ts';

/** A clock on which each sleep ends when the test says so. */
function steps() {
  const ends: (() => void)[] = [];
  const sleep = (_ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      ends.push(resolve);
      signal?.addEventListener('abort', () => resolve());
    });
  const step = async () => {
    ends.pop()!();
    await systemClock.soon();
  };
  return { clock: { ...systemClock, sleep }, step };
}

test('silence is told once, and not while something is heard', async () => {
  const { clock, step } = steps();
  let told = 0;
  const heard = listenForSilence(clock, 10, new AbortController().signal, () => told++);
  for (let round = 0; round < 5; round++) {
    heard();
    await step();
  }
  expect(told).toBe(0);
  await step();
  expect(told).toBe(1);
});

test('nothing is told after the end', async () => {
  const { clock } = steps();
  const end = new AbortController();
  let told = 0;
  listenForSilence(clock, 10, end.signal, () => told++);
  end.abort();
  await systemClock.soon();
  expect(told).toBe(0);
});
