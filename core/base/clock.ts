/** Time by injection: the only door to it. The simulator passes a virtual clock. */
export interface Clock {
  /** Wall time in milliseconds since the epoch. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Resolves after the microtasks that are queued now. */
  soon(): Promise<void>;
  /** Resolves after `ms`, or at once when the signal aborts (it never rejects). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  soon: () => new Promise((resolve) => setImmediate(resolve)),
  sleep(ms, signal) {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, Math.min(Math.max(0, ms), 2 ** 31 - 1)); // setTimeout wraps above 2^31-1
      signal?.addEventListener('abort', finish, { once: true });
    });
  },
};

/** RFC 3339 with whole seconds, as metav1.Time is written. */
export const timeText = (ms: number): string => new Date(ms).toISOString().slice(0, 19) + 'Z';
/** RFC 3339 with six decimals, as metav1.MicroTime is written. */
export const microTimeText = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');
