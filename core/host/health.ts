/** How a plugin's process fared so far. */
export interface Life {
  readonly crashesMs: readonly number[];
  /** In a row, without having been ready. */
  readonly failedStarts: number;
}
export const freshLife: Life = { crashesMs: [], failedStarts: 0 };
export type Verdict =
  | { readonly type: 'restart'; readonly life: Life; readonly afterMs: number }
  | { readonly type: 'quarantine'; readonly life: Life; readonly reason: string };

const crashWindowMs = 10 * 60_000;
const crashesMax = 5;
const failedStartsMax = 3;
const backoffMsMax = 60_000;
export const silentMs = { unresponsive: 5_000, killed: 15_000 } as const;

/** After a process ended by itself or was killed for its silence: at once, then 1, 2, 4 … 60 s; quarantine beyond its chances, and at once for a violation of its sandbox. Pure. */
export function afterEnd(
  life: Life,
  end: { readonly nowMs: number; readonly wasReady: boolean; readonly violated?: boolean },
): Verdict {
  const crashesMs = [...life.crashesMs.filter((at) => end.nowMs - at < crashWindowMs), end.nowMs];
  const failedStarts = end.wasReady ? 0 : life.failedStarts + 1;
  const next = { crashesMs, failedStarts };
  if (end.violated) return { type: 'quarantine', life: next, reason: 'it tried to get round its sandbox' };
  if (failedStarts >= failedStartsMax)
    return { type: 'quarantine', life: next, reason: `${failedStarts} starts in a row failed` };
  if (crashesMs.length >= crashesMax)
    return { type: 'quarantine', life: next, reason: `${crashesMs.length} crashes within 10 minutes` };
  const earlier = crashesMs.length - 1;
  return {
    type: 'restart',
    life: next,
    afterMs: earlier === 0 ? 0 : Math.min(1_000 * 2 ** (earlier - 1), backoffMsMax),
  };
}

/** What silence of so many milliseconds means. Pure. */
export const afterSilence = (ms: number): 'healthy' | 'unresponsive' | 'dead' =>
  ms >= silentMs.killed ? 'dead' : ms >= silentMs.unresponsive ? 'unresponsive' : 'healthy';
