import { isReason, StatusError } from '#api';

/**
 * The life of one followed collection, as a pure state machine: a full list (init), then a watch from the list's
 * version (live) that is resumed where it ended. Only 410 leads back to a list.
 */
export type WatchState =
  | { readonly phase: 'init'; readonly failures: number }
  | { readonly phase: 'live'; readonly version: string; readonly failures: number };

export type WatchInput =
  | { readonly type: 'listed'; readonly version: string }
  /** An event or a bookmark: everything up to this version has been seen. */
  | { readonly type: 'progress'; readonly version: string }
  /** The server ended the watch in the ordinary way. */
  | { readonly type: 'ended'; readonly livedMs: number }
  | { readonly type: 'failed'; readonly error: unknown };

export type WatchAction = { readonly type: 'list' } | { readonly type: 'watch'; readonly since: string };
export interface WatchStep {
  readonly state: WatchState;
  /** What to do next, after this wait. Absent on progress: go on reading. */
  readonly next?: WatchAction & { readonly afterMs: number };
}

export const backOffMinMs = 50;
export const backOffMaxMs = 5_000; // upstream waits up to 30 s; our targets are 1 s after a restart and 5 s after a partition
/** A watch that ends sooner than this is no rhythm of the server but trouble. */
const shortWatchMs = 1_000;

export const startWatch: WatchStep = {
  state: { phase: 'init', failures: 0 },
  next: { type: 'list', afterMs: 0 },
};

/** `chance` is uniform in [0, 1): it spreads the clients that lost the same server. */
export function nextWatch(state: WatchState, input: WatchInput, chance: number): WatchStep {
  switch (input.type) {
    case 'listed':
      return watchFrom(input.version, state.phase === 'init' ? state.failures : 0, chance);
    case 'progress':
      return { state: { phase: 'live', version: input.version, failures: 0 } };
    case 'ended': {
      if (state.phase === 'init') return again(state, chance);
      return input.livedMs >= shortWatchMs ? watchFrom(state.version, 0, chance) : again(state, chance);
    }
    case 'failed':
      if (state.phase === 'live' && isGone(input.error)) {
        // The first 410 relists at once; a watch that expires again and again backs off.
        return {
          state: { phase: 'init', failures: state.failures + 1 },
          next: { type: 'list', afterMs: waitMs(state.failures, chance) },
        };
      }
      return again(state, chance);
  }
}

const isGone = (error: unknown): boolean =>
  isReason(error, 'Expired', 'Gone') || (error instanceof StatusError && error.code === 410);

function watchFrom(version: string, failures: number, chance: number): WatchStep {
  return {
    state: { phase: 'live', version, failures },
    next: { type: 'watch', since: version, afterMs: waitMs(failures > 1 ? failures - 1 : 0, chance) },
  };
}

function again(state: WatchState, chance: number): WatchStep {
  const failures = state.failures + 1;
  const afterMs = waitMs(failures, chance);
  return state.phase === 'init'
    ? { state: { phase: 'init', failures }, next: { type: 'list', afterMs } }
    : { state: { ...state, failures }, next: { type: 'watch', since: state.version, afterMs } };
}

/** 0 failures wait nothing; then 50 ms doubling to 5 s, half to one and a half times that. */
export const waitMs = (failures: number, chance: number): number =>
  failures === 0 ? 0 : Math.min(backOffMinMs * 2 ** (failures - 1), backOffMaxMs) * (0.5 + chance);
