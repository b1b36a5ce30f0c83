import type { InstanceState } from './instance.ts';
import type { KnownVersion } from './kind.ts';

export const probationMs = 10 * 60_000;
const timeoutsMax = 0.05;
/** Below so many calls a share says nothing. */
const callsMin = 20;

/** A newer version that acts, and is watched. */
export interface Upgrade {
  readonly fallback: KnownVersion;
  /** On the monotonic clock. */
  readonly untilMs: number;
}
export interface HookCounts {
  readonly calls: number;
  readonly timeouts: number;
}
export type ProbationVerdict =
  | { readonly type: 'watch' }
  | { readonly type: 'passed' }
  | { readonly type: 'rollback'; readonly why: string };

/** Crash loop, failed health, or more than 5 % of hook calls over their time within 10 minutes: back. Pure. */
export function afterUpgrade(
  { untilMs }: Upgrade,
  state: Pick<InstanceState, 'phase' | 'message' | 'hangs'>,
  nowMs: number,
  hooks: HookCounts = { calls: 0, timeouts: 0 },
): ProbationVerdict {
  if (state.phase === 'Quarantined') return { type: 'rollback', why: state.message };
  if (state.hangs > 0) return { type: 'rollback', why: 'it was killed after 15 s without a heartbeat' };
  if (hooks.calls >= callsMin && hooks.timeouts / hooks.calls > timeoutsMax)
    return { type: 'rollback', why: `${hooks.timeouts} of ${hooks.calls} hook calls took too long` };
  return nowMs >= untilMs ? { type: 'passed' } : { type: 'watch' };
}
