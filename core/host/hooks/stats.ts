const samplesMax = 256;

/** How the calls of one hook went: the last 256 round trips, and counts since it was attached. */
export class HookStats {
  readonly #ms: number[] = [];
  #next = 0;
  calls = 0;
  /** Cut at the limit. */
  timeouts = 0;
  /** Answered beyond the budget. */
  slow = 0;

  took(ms: number, budgetMs: number): void {
    this.calls++;
    if (ms > budgetMs) this.slow++;
    this.#ms[this.#next] = ms;
    this.#next = (this.#next + 1) % samplesMax;
  }
  /** Milliseconds as text such as `0.4ms`; undefined before the first call. */
  percentile(share: number): string | undefined {
    if (this.#ms.length === 0) return undefined;
    const sorted = this.#ms.toSorted((a, b) => a - b);
    const ms = sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]!;
    return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)}ms`;
  }
}

const failuresInARowMax = 3;
const pauseMs = 1_000;
/** After 3 silences in a row nobody waits for this plugin for a second: one that hangs must not slow every request. */
export class Breaker {
  #silences = 0;
  #untilMs = 0;
  isOpen(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }
  note(isSilent: boolean, nowMs: number): void {
    this.#silences = isSilent ? this.#silences + 1 : 0;
    if (this.#silences < failuresInARowMax) return;
    this.#untilMs = nowMs + pauseMs;
    this.#silences = failuresInARowMax - 1; // one more silence afterwards is enough
  }
}
