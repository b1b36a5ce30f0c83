import { connect, type TLSSocket } from 'node:tls';

/** A TLS connection that speaks whatever it is told to. */
export class Raw implements Disposable {
  readonly #socket: TLSSocket;
  readonly #began = performance.now();
  received = '';
  readonly ready: Promise<void>;
  /** Resolves with the seconds it was open. */
  readonly closed: Promise<number>;

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
    this.ready = new Promise((resolve) => this.#socket.once('secureConnect', () => resolve()));
    this.closed = new Promise((resolve) =>
      this.#socket.once('close', () => resolve((performance.now() - this.#began) / 1000)),
    );
    this.#socket.on('error', () => {}); // a reset is a way to close
    this.#socket.on('data', (data) => {
      this.received += data.toString('latin1');
      this.#arrived.resolve();
      this.#arrived = Promise.withResolvers();
    });
  }
  #arrived = Promise.withResolvers<void>();

  async write(text: string): Promise<void> {
    await this.ready;
    if (!this.#socket.destroyed) this.#socket.write(text);
  }
  /** Reads no more; what the other side sends stays in its buffers. */
  pause(): void {
    this.#socket.pause();
  }
  /** The status of the first final answer; 0 when the connection closed without one. */
  async status(): Promise<number> {
    let isOpen = true;
    void this.closed.then(() => (isOpen = false));
    for (;;) {
      const code = /^HTTP\/1\.1 ([2-5]\d\d)/m.exec(this.received)?.[1];
      if (code) return Number(code);
      if (!isOpen) return 0;
      await Promise.race([this.#arrived.promise, this.closed]);
    }
  }
  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
