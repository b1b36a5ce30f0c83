export interface Hold {
  readonly delayMs: number;
  /** Each frame waits up to this much longer or shorter; order is kept. */
  readonly jitterMs: number;
  readonly lossPercent: number;
  /** From 0 up to 1. */
  random(): number;
}
const queueBytesMax = 64 * 2 ** 20; // what does not fit is lost, as in a router

/** Frames of one direction, each to leave some time after it came. Times are milliseconds of any one clock. */
export class HoldQueue {
  readonly #hold: Hold;
  readonly #frames: { readonly frame: Uint8Array; readonly dueMs: number }[] = [];
  #first = 0;
  #bytes = 0;
  #lastDueMs = 0;
  constructor(hold: Hold) {
    this.#hold = hold;
  }

  put(frame: Uint8Array, nowMs: number): void {
    const { delayMs, jitterMs, lossPercent, random } = this.#hold;
    if (this.#bytes + frame.length > queueBytesMax || random() * 100 < lossPercent) return;
    const dueMs = nowMs + delayMs + (jitterMs > 0 ? (random() * 2 - 1) * jitterMs : 0);
    this.#lastDueMs = Math.max(this.#lastDueMs, dueMs); // one that overtakes would look like loss to TCP
    this.#frames.push({ frame, dueMs: this.#lastDueMs });
    this.#bytes += frame.length;
  }

  /** The next frame whose time has come. */
  due(nowMs: number): Uint8Array | undefined {
    const next = this.#frames[this.#first];
    if (!next || next.dueMs > nowMs) return undefined;
    this.#first++;
    this.#bytes -= next.frame.length;
    if (this.#first > 1_024) this.#frames.splice(0, this.#first) && (this.#first = 0); // shifting each would cost the square
    return next.frame;
  }

  /** How long until one is due; infinite when there is none. */
  untilMs(nowMs: number): number {
    const next = this.#frames[this.#first];
    return next ? Math.max(0, next.dueMs - nowMs) : Number.POSITIVE_INFINITY;
  }
}
