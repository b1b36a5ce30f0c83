/**
 * Exponential back-off by key, as containers and image pulls have it: 10 s, doubling to 300 s,
 * forgotten when the thing went well for 10 minutes. Time comes in by parameter.
 */
interface Entry {
  delayMs: number;
  updatedAtMs: number;
}

export class Backoff {
  readonly #entries = new Map<string, Entry>();
  constructor(
    readonly initialMs = 10_000,
    readonly maxMs = 300_000,
    readonly forgetAfterMs = 600_000,
    readonly keysMax = 10_000,
  ) {}

  /** How long the key waits now; 0 when it has not failed. */
  delayMs(key: string): number {
    return this.#entries.get(key)?.delayMs ?? 0;
  }

  /** The moment until which the key waits when it failed at `sinceMs`; at or before `sinceMs` when it need not. */
  untilMs(key: string, sinceMs: number): number {
    const entry = this.#entries.get(key);
    if (!entry || sinceMs - entry.updatedAtMs > this.forgetAfterMs) return sinceMs;
    return sinceMs + entry.delayMs;
  }

  /** Counts one failure that happened at `atMs`. */
  next(key: string, atMs: number): void {
    const entry = this.#entries.get(key);
    if (!entry || atMs - entry.updatedAtMs > this.forgetAfterMs) {
      if (this.#entries.size >= this.keysMax) this.#entries.delete(this.#entries.keys().next().value!);
      this.#entries.set(key, { delayMs: this.initialMs, updatedAtMs: atMs });
    } else {
      entry.delayMs = Math.min(entry.delayMs * 2, this.maxMs);
      entry.updatedAtMs = atMs;
    }
  }

  reset(key: string): void {
    this.#entries.delete(key);
  }

  /** Drops every key that starts with this text, such as a pod's uid. */
  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }
}
