import type { Clock } from '#base';

/** So many at once, and so many each second after that. */
export class Rate {
  #left: number;
  #atMs: number;
  constructor(
    private readonly clock: Clock,
    private readonly limits: { readonly burst: number; readonly perSecond: number },
  ) {
    this.#left = limits.burst;
    this.#atMs = clock.monotonicMs();
  }
  take(): boolean {
    const nowMs = this.clock.monotonicMs();
    const { burst, perSecond } = this.limits;
    this.#left = Math.min(burst, this.#left + ((nowMs - this.#atMs) / 1_000) * perSecond);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
