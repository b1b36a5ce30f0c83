import { expect, test } from 'bun:test';
import type { Clock } from '#base';
import { type Timed, WatchTimes } from './watch-times.ts';

/** Time that stands still until it is told; whoever sleeps is woken when its time has come or its signal says so. */
function steppedClock(): Clock & { step(ms: number): Promise<void>; sleeping(): number } {
  let nowMs = 0;
  const sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();
  return {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    soon: () => Promise.resolve(),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const sleeper = {
          atMs: nowMs + ms,
          wake: () => {
            sleepers.delete(sleeper);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', sleeper.wake, { once: true });
      }),
    sleeping: () => sleepers.size,
    async step(ms) {
      nowMs += ms;
      for (const sleeper of [...sleepers]) if (sleeper.atMs <= nowMs) sleeper.wake();
      await Bun.sleep(0);
    },
  };
}

test('each is called at its time, a sooner one wakes the nap, and without any there is no nap', async () => {
  const clock = steppedClock();
  const stop = new AbortController();
  const times = new WatchTimes(clock, stop.signal);
  const calls: string[] = [];
  const timed = (name: string, everyMs: number): Timed => {
    const one = {
      dueMs: clock.monotonicMs() + everyMs,
      onDue(nowMs: number) {
        calls.push(`${name} at ${nowMs}`);
        one.dueMs = nowMs + everyMs;
      },
      close: () => void calls.push(`${name} closed`),
    };
    return one;
  };
  const slow = timed('slow', 60_000);
  const quick = timed('quick', 1_000);
  times.add(slow);
  times.add(quick);
  await clock.step(0);
  await clock.step(1_000);
  expect(calls).toEqual(['quick at 1000']);
  times.remove(quick);
  await clock.step(59_000);
  expect(calls).toEqual(['quick at 1000', 'slow at 60000']);
  times.remove(slow);
  await clock.step(0);
  expect(clock.sleeping()).toBe(0);
  times.add(quick);
  stop.abort();
  expect(calls.at(-1)).toBe('quick closed');
  times.add(slow);
  expect(calls.at(-1)).toBe('slow closed');
});
