import type { Duplex } from 'node:stream';

/** One connection as bytes, whatever carries it. */
export interface Wire {
  /** The peer's address. */
  readonly peer: string;
  /** The own port. */
  readonly port: number;
  readonly isSecure: boolean;
  /** Set by who takes the connection over. */
  user: WireUser;
  /** Bytes belong to the wire from now on. False: they wait in memory, and `drained` will be told. */
  write(bytes: Buffer): boolean;
  pause(): void;
  resume(): void;
  /** Sends what waits, then says that nothing follows. */
  end(): void;
  /** At once; `closed` is told. */
  destroy(): void;
}
export interface WireUser {
  data(bytes: Buffer): void;
  drained(): void;
  /** The peer sends no more. */
  ended(): void;
  /** Once, always. */
  closed(): void;
}

const nobody: WireUser = { data() {}, drained() {}, ended() {}, closed() {} };

/** Over Bun's own sockets: half the cost of Node's. */
export class SocketWire implements Wire {
  user = nobody;
  readonly isSecure = false;
  #socket: Bun.Socket<SocketWire> | undefined;
  #waiting: Buffer[] = [];
  #isEnding = false;
  #isPaused = false;
  peer = '';
  port = 0;

  static readonly handlers: Bun.SocketHandler<SocketWire> = {
    open(socket) {
      socket.data?.opened(socket);
    },
    data: (socket, bytes) => socket.data.user.data(bytes),
    drain: (socket) => socket.data.drain(),
    end: (socket) => socket.data.user.ended(),
    close: (socket) => socket.data?.destroyed(),
    error: () => {}, // `close` follows
  };
  opened(socket: Bun.Socket<SocketWire>): void {
    this.#socket = socket;
    this.peer = plainAddress(socket.remoteAddress);
    this.port = socket.localPort;
    if (this.#isPaused) socket.pause();
  }
  write(bytes: Buffer): boolean {
    const socket = this.#socket;
    if (!socket || this.#isEnding) return true;
    if (this.#waiting.length > 0) {
      this.#waiting.push(bytes);
      return false;
    }
    const sent = Math.max(0, socket.write(bytes));
    if (sent === bytes.length) return true;
    this.#waiting.push(bytes.subarray(sent));
    return false;
  }
  drain(): void {
    while (this.#waiting.length > 0) {
      const first = this.#waiting[0]!;
      const sent = Math.max(0, this.#socket ? this.#socket.write(first) : 0);
      if (sent < first.length) {
        this.#waiting[0] = first.subarray(sent);
        return;
      }
      this.#waiting.shift();
    }
    if (this.#isEnding) this.#socket?.shutdown();
    else this.user.drained();
  }
  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket?.pause();
  }
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket?.resume();
  }
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    if (this.#waiting.length === 0) this.#socket?.shutdown();
  }
  destroy(): void {
    this.#waiting = [];
    this.#socket?.terminate();
    this.destroyed();
  }
  destroyed(): void {
    if (!this.#socket) return;
    this.#socket = undefined;
    this.#waiting = [];
    const { user } = this;
    this.user = nobody;
    user.closed();
  }
}

/** Over a stream of Node's: what has TLS. */
export class StreamWire implements Wire {
  user = nobody;
  constructor(
    private readonly stream: Duplex,
    readonly peer: string,
    readonly port: number,
    readonly isSecure: boolean,
  ) {
    stream.on('data', (bytes: Buffer) => this.user.data(bytes));
    stream.on('drain', () => this.user.drained());
    stream.on('end', () => this.user.ended());
    stream.on('close', () => {
      const { user } = this;
      this.user = nobody;
      user.closed();
    });
    stream.on('error', () => stream.destroy());
  }
  write(bytes: Buffer): boolean {
    return this.stream.destroyed || this.stream.writableEnded || this.stream.write(bytes);
  }
  pause(): void {
    this.stream.pause();
  }
  resume(): void {
    this.stream.resume();
  }
  end(): void {
    this.stream.end();
  }
  destroy(): void {
    this.stream.destroy();
  }
}

/** An IPv4 peer of a socket for both families is an IPv4 peer. */
export const plainAddress = (text: string): string =>
  text.startsWith('::ffff:') && text.includes('.') ? text.slice(7) : text;
