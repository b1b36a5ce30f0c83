import { describe, expect, test } from 'bun:test';
import type { ResourceVersion } from '#api';
import { historyStart } from './watch-cache.ts';

describe('history that watches can resume from after a restart', () => {
  const epoch = 2n ** 40n;
  const rows: [string, bigint, bigint, bigint][] = [
    ['nothing was ever written', 0n, 0n, 0n],
    ['a young cluster: all of it', 300n, 0n, 0n],
    ['an old one: the newest 2000', 9_000n, 0n, 7_000n],
    ['compacted lately: what is left', 9_000n, 8_500n, 8_500n],
    ['compacted up to now', 9_000n, 9_000n, 9_000n],
    ['an epoch that began lately', epoch + 5n, epoch, epoch],
  ];
  for (const [name, now, oldest, wanted] of rows)
    test(name, async () => {
      let asked = 0;
      const start = await historyStart(String(now) as ResourceVersion, async (since) => {
        asked++;
        return BigInt(since) < oldest;
      });
      expect(BigInt(start)).toBe(wanted);
      expect(asked).toBeLessThan(14);
    });
});
