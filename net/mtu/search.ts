/** What is known of one way: it takes packets of `passed` bytes and none of `failed`. */
export interface Search {
  readonly passedBytes: number;
  readonly failedBytes: number;
}
const sizesMax = 16; // packets in flight for one way
/** What tunnels, PPPoE and clouds leave over: tried in the first round, so that it is most often the last. */
const usual = [9000, 8951, 8500, 1500, 1492, 1480, 1476, 1472, 1460, 1454, 1450, 1430, 1420, 1400, 1380, 1360, 1280];

/** The sizes to try next, ascending, between what passed and what failed; none when the answer is known. Pure. */
export function nextSizes({ passedBytes, failedBytes }: Search): number[] {
  const inside = (size: number) => size > passedBytes && size < failedBytes;
  if (!inside(passedBytes + 1)) return [];
  const sizes = new Set([passedBytes + 1, ...usual.filter(inside), failedBytes - 1]);
  const step = (failedBytes - passedBytes) / sizesMax;
  for (let size = passedBytes + step; size < failedBytes && sizes.size < sizesMax; size += step)
    if (inside(Math.round(size))) sizes.add(Math.round(size));
  return [...sizes].sort((a, b) => a - b);
}

/** After a round: the largest that was answered passed, and the next larger of those tried failed. Pure. */
export function narrow(search: Search, tried: readonly number[], answered: ReadonlySet<number>): Search {
  const passedBytes = Math.max(search.passedBytes, ...tried.filter((size) => answered.has(size)));
  const failedBytes = Math.min(search.failedBytes, ...tried.filter((size) => size > passedBytes));
  return { passedBytes, failedBytes };
}
