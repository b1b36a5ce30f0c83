import { expect, test } from 'bun:test';
import type { Clock } from '#base';
import { Arrivals } from './arrivals.ts';

/** Time that stands still until it is told. */
function steppedClock(): Clock & { step(ms: number): Promise<void> } {
  let nowMs = 0;
  let wake: (() => void)[] = [];
  return {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    soon: () => Promise.resolve(),
    sleep: () => new Promise((resolve) => wake.push(resolve)),
    async step(ms) {
      nowMs += ms;
      const due = wake;
      wake = [];
      for (const resolve of due) resolve();
      await Bun.sleep(0); // what waited for it runs on
    },
  };
}

test('who is late is told once, who has come is not, and the end of all of them ends the looking', async () => {
  const clock = steppedClock();
  const arrivals = new Arrivals(clock, 1_000);
  const told: string[] = [];
  const slow = arrivals.add(() => told.push('slow unlimited'));
  slow.onLate(() => told.push('slow is late'));
  const quick = arrivals.add(() => told.push('quick unlimited'));
  quick.onLate(() => told.push('quick is late'));
  quick.done();
  await clock.step(999);
  expect(told).toEqual(['quick unlimited']);
  await clock.step(1);
  await clock.step(1_000);
  expect(told).toEqual(['quick unlimited', 'slow is late']);
  const next = arrivals.add(() => {});
  next.onLate(() => told.push('next is late'));
  await clock.step(1_000);
  expect(told.at(-1)).toBe('next is late');
});
