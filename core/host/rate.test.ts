import { expect, test } from 'bun:test';
import { systemClock } from '#base';
import { Rate } from './rate.ts';

test('so many at once, then so many each second, never more than the burst', () => {
  let nowMs = 0;
  const rate = new Rate({ ...systemClock, monotonicMs: () => nowMs }, { burst: 3, perSecond: 2 });
  const taken = () => Array.from({ length: 5 }, () => rate.take()).filter(Boolean).length;
  const after = (ms: number) => {
    nowMs += ms;
    return taken();
  };
  expect([after(0), after(0), after(499), after(1), after(1_000), after(60_000)]).toEqual([3, 0, 0, 1, 2, 3]);
});
