/**
 * Bytes between a sender that cannot wait and a reader that can: chunks in order, an end or a failure behind them.
 * Bounded by whoever pushes: `push` says how full it is, `onTaken` when something was read.
 */
export class ByteQueue implements AsyncIterable<Uint8Array> {
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(readonly onTaken?: (bytes: number) => void) {}

  get bytes(): number {
    return this.#bytes;
  }
  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes held now. After the end nothing is taken in any more. */
  push(chunk: Uint8Array): number {
    if (!this.#ended && chunk.length > 0) {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#notify();
    }
    return this.#bytes;
  }
  end(): void {
    this.#ended = true;
    this.#notify();
  }
  /** What is held is dropped; the reader gets the error. */
  fail(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#ended = true;
    this.#drop();
    this.#notify();
  }
  /** The reader is gone: what is held and what comes is dropped. */
  cancel(): void {
    this.#ended = true;
    this.#drop();
    this.#notify();
  }

  /** Undefined at the end. One reader at a time. */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#chunks.length === 0) {
      if (this.#failure) throw this.#failure;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const chunk = this.#chunks.shift()!;
    this.#bytes -= chunk.length;
    this.onTaken?.(chunk.length);
    return chunk;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = await this.next();
      if (!chunk) return;
      yield chunk;
    }
  }

  #drop(): void {
    const bytes = this.#bytes;
    this.#chunks = [];
    this.#bytes = 0;
    if (bytes > 0) this.onTaken?.(bytes);
  }
  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
