/**
 * Requests in work at once, shared out among users: where the lane is nearly full, who already has more than a share of it
 * waits, so that one noisy client leaves room for the rest. Without others it may use most of the lane.
 */
export class Lane {
  #total = 0;
  readonly #held = new Map<string, number>();
  /** A user's part that is never refused while the lane has room. */
  readonly #share: number;
  /** Above this many, shares count. */
  readonly #free: number;

  constructor(readonly requestsMax: number) {
    this.#share = Math.max(1, Math.floor(requestsMax / 8));
    this.#free = Math.floor((requestsMax * 3) / 4);
  }
  get size(): number {
    return this.#total;
  }

  /** Undefined: try again later. Else what has to be called once when the request is done. */
  enter(user: string): (() => void) | undefined {
    const held = this.#held.get(user) ?? 0;
    if (this.#total >= this.requestsMax || (this.#total >= this.#free && held >= this.#share)) return undefined;
    this.#total++;
    this.#held.set(user, held + 1);
    return () => {
      this.#total--;
      const left = this.#held.get(user)! - 1;
      if (left > 0) this.#held.set(user, left);
      else this.#held.delete(user);
    };
  }
}
