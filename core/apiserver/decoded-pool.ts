/** What can forget its decoded form and make it again. */
export interface Decoded {
  readonly decodedBytes: number;
  /** Was read since the last time this was asked. */
  takeUsed(): boolean;
  forget(): void;
}

export const decodedBytesMax = 8 * 1024 * 1024; // of JSON; decoded objects take about four times as much

/**
 * Keeps the decoded forms of one kind within a bound. A decoded pod takes 8 KB beside its 2 KB of JSON, and most of them are
 * never looked at twice. First in, first out, with a second chance for what was read meanwhile.
 */
export class DecodedPool {
  #queue: Decoded[] = [];
  #next = 0;
  #bytes = 0;

  constructor(private readonly bytesMax = decodedBytesMax) {}

  add(one: Decoded): void {
    this.#queue.push(one);
    this.#bytes += one.decodedBytes;
    while (this.#bytes > this.bytesMax && this.#next < this.#queue.length - 1) this.#evict();
  }

  #evict(): void {
    const oldest = this.#queue[this.#next++]!;
    if (oldest.takeUsed()) this.#queue.push(oldest);
    else {
      this.#bytes -= oldest.decodedBytes;
      oldest.forget();
    }
    if (this.#next * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#next);
    this.#next = 0;
  }
}
