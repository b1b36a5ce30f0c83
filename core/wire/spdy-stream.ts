import { ByteQueue } from './byte-queue.ts';
import type { SpdyHeaders } from './spdy-headers.ts';

/** What a stream asks of its connection. */
export interface SpdyStreamPort {
  reply(stream: SpdyStream, headers: SpdyHeaders): void;
  data(stream: SpdyStream, bytes: Uint8Array, fin: boolean): Promise<void>;
  reset(stream: SpdyStream, status: number): void;
  taken(stream: SpdyStream, bytes: number): void;
  finished(stream: SpdyStream): void;
}

/** One stream of a SPDY connection: two directions, each closed for itself. */
export class SpdyStream {
  /** What the other side sends; fails when it resets the stream or the connection ends early. */
  readonly incoming: ByteQueue;
  readonly #port: SpdyStreamPort;
  #writable = true;
  #readable = true;
  #sendWindowBytes: number | undefined;
  #wakeWriter: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(
    readonly id: number,
    readonly headers: SpdyHeaders,
    port: SpdyStreamPort,
  ) {
    this.#port = port;
    this.incoming = new ByteQueue((bytes) => port.taken(this, bytes));
  }

  /** The first value of a header. */
  header(name: string): string | undefined {
    return this.headers[name]?.[0];
  }
  /** Both directions have ended. */
  get done(): boolean {
    return !this.#writable && !this.#readable;
  }
  get readable(): boolean {
    return this.#readable;
  }

  reply(headers: SpdyHeaders = {}): void {
    this.#port.reply(this, headers);
  }
  /** Resolves when the transport has room again; await it before the next write. Nothing is sent after the end. */
  write(bytes: Uint8Array): Promise<void> {
    this.#writing = this.#writing.then(() => this.#send(bytes));
    return this.#writing;
  }
  /** Half-close: the other side sees the end, and may still send. */
  end(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      if (!this.#writable) return;
      this.#writable = false;
      await this.#port.data(this, new Uint8Array(0), true);
      this.#finishWhenDone();
    });
    return this.#writing;
  }
  /** Both directions, at once. */
  reset(status: number): void {
    if (this.done) return;
    this.#port.reset(this, status);
    this.abort(new Error('stream was reset'));
  }

  /** From the connection: bytes and an end that came in. */
  receive(bytes: Uint8Array, fin: boolean): void {
    this.incoming.push(bytes);
    if (!fin) return;
    this.#readable = false;
    this.incoming.end();
    this.#finishWhenDone();
  }
  /** From the connection: no more in either direction. */
  abort(reason: Error): void {
    this.#writable = false;
    if (this.#readable) this.incoming.fail(reason);
    this.#readable = false;
    this.#wake();
    this.#port.finished(this);
  }
  /** From the connection: the other side limits what may be under way. */
  addWindow(deltaBytes: number, initialBytes: number): void {
    this.#sendWindowBytes = (this.#sendWindowBytes ?? initialBytes) + deltaBytes;
    this.#wake();
  }

  async #send(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.length > 0 && this.#writable) {
      const allowed = Math.min(rest.length, this.#sendWindowBytes ?? rest.length);
      if (allowed <= 0) {
        await new Promise<void>((resolve) => {
          this.#wakeWriter = resolve;
        });
        continue;
      }
      if (this.#sendWindowBytes !== undefined) this.#sendWindowBytes -= allowed;
      await this.#port.data(this, rest.subarray(0, allowed), false);
      rest = rest.subarray(allowed);
    }
  }
  #wake(): void {
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
  }
  #finishWhenDone(): void {
    if (this.done) this.#port.finished(this);
  }
}
