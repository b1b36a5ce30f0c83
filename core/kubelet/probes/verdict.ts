import type { Probe } from '#api';

/** Runs of equal results, until the threshold that makes them count. */
export interface ProbeRun {
  readonly last?: boolean;
  readonly count: number;
}
export const noRun: ProbeRun = { count: 0 };

/** Pure: the next run, and the verdict when a threshold has been reached. */
export function judge(run: ProbeRun, ok: boolean, probe: Probe): { run: ProbeRun; verdict?: boolean } {
  const count = run.last === ok ? run.count + 1 : 1;
  const threshold = ok ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3);
  return { run: { last: ok, count }, verdict: count >= threshold ? ok : undefined };
}
