/**
 * Cuts a connection's bytes into HTTP/1.1 answers without keeping their bodies: a load generator must cost less than what it
 * measures. Knows content-length and chunked bodies; `onBody` gets the pieces of chunked ones and of the others alike.
 */
export class HttpReader {
  #head = '';
  #state: 'head' | 'body' | 'chunk-size' | 'chunk' | 'trailer' = 'head';
  #line = '';
  #left = 0;
  #status = 0;

  constructor(
    private readonly on: {
      head?(status: number): void;
      body?(bytes: Uint8Array): void;
      end(status: number): void;
    },
  ) {}

  feed(data: Uint8Array): void {
    let at = 0;
    while (at < data.length) {
      if (this.#state === 'head') at = this.#readHead(data, at);
      else if (this.#state === 'body' || this.#state === 'chunk') at = this.#readBody(data, at);
      else at = this.#readLine(data, at);
    }
  }

  #readHead(data: Uint8Array, from: number): number {
    const before = this.#head.length;
    const text = this.#head + Buffer.from(data.buffer, data.byteOffset + from, data.length - from).toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) {
      this.#head = text;
      return data.length;
    }
    const head = text.slice(0, end).toLowerCase();
    this.#head = '';
    this.#status = Number(head.slice(9, 12));
    this.on.head?.(this.#status);
    const length = /\r\ncontent-length: *(\d+)/.exec(head);
    if (/\r\ntransfer-encoding: *chunked/.test(head)) this.#state = 'chunk-size';
    else this.#begin('body', Number(length?.[1] ?? 0));
    return from + end + 4 - before;
  }

  #begin(state: 'body' | 'chunk', bytes: number): void {
    this.#state = state;
    this.#left = bytes;
    if (state === 'body' && bytes === 0) this.#end();
  }

  #readBody(data: Uint8Array, from: number): number {
    const end = Math.min(data.length, from + this.#left);
    this.on.body?.(data.subarray(from, end));
    this.#left -= end - from;
    if (this.#left > 0) return end;
    if (this.#state === 'body') this.#end();
    else this.#state = 'trailer';
    return end;
  }

  /** The size of a chunk, and the empty line behind one. */
  #readLine(data: Uint8Array, from: number): number {
    const end = data.indexOf(0x0a, from);
    this.#line += Buffer.from(data.buffer, data.byteOffset + from, (end < 0 ? data.length : end) - from).toString(
      'latin1',
    );
    if (end < 0) return data.length;
    const line = this.#line.trim();
    this.#line = '';
    if (this.#state === 'trailer') {
      this.#state = 'chunk-size';
      if (this.#left < 0) this.#end(); // the empty line behind the last chunk
      return end + 1;
    }
    const size = Number.parseInt(line, 16);
    if (size > 0) this.#begin('chunk', size);
    else {
      this.#state = 'trailer';
      this.#left = -1;
    }
    return end + 1;
  }

  #end(): void {
    this.#state = 'head';
    this.#left = 0;
    this.on.end(this.#status);
  }
}
