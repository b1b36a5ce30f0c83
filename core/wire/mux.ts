/**
 * Many byte streams over one ordered connection of messages, such as a WebSocket. A message is
 * `type (1 byte) | stream (4 bytes, big-endian) | payload`. Each direction of a stream has a window of bytes that its
 * receiver grants, so that one that nobody reads holds up no other, and memory is bounded. No I/O, no time.
 */
const types = { open: 1, data: 2, end: 3, reset: 4, window: 5 } as const;
const headBytes = 5;
export const muxWindowBytes = 256 * 1024;
const pieceBytesMax = 32 * 1024;

export interface MuxOptions {
  /** One message for the other side; in order. */
  send(message: Uint8Array): void;
  /** The other side opened a stream. Absent: it must not. */
  onOpen?(stream: MuxStream): void;
  readonly streamsMax: number;
}

export class MuxStream {
  onData: (bytes: Uint8Array) => void = () => {};
  /** The other side will send no more. */
  onEnd: () => void = () => {};
  /** It is over, whatever was on its way. */
  onReset: () => void = () => {};
  /** What `write` refused to take more of has left. */
  onDrain: () => void = () => {};
  #credit = muxWindowBytes;
  #owed = 0;
  #waiting: Uint8Array[] = [];
  #ending = false;
  #sentEnd = false;
  #gotEnd = false;

  constructor(
    readonly id: number,
    private readonly emit: (type: number, payload?: Uint8Array) => void,
    private readonly over: () => void,
  ) {}

  /** False: nothing more should come before `onDrain`. */
  write(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length; at += pieceBytesMax) this.#waiting.push(bytes.subarray(at, at + pieceBytesMax));
    this.#flush();
    return this.#waiting.length === 0;
  }
  end(): void {
    this.#ending = true;
    this.#flush();
  }
  reset(): void {
    this.emit(types.reset);
    this.over();
  }
  /** So many bytes of `onData` are dealt with: as many more may come. */
  consumed(bytes: number): void {
    this.#owed += bytes;
    if (this.#owed < muxWindowBytes / 2) return;
    const grant = new Uint8Array(4);
    new DataView(grant.buffer).setUint32(0, this.#owed);
    this.#owed = 0;
    this.emit(types.window, grant);
  }

  /** A message of the other side. */
  take(type: number, payload: Uint8Array): void {
    switch (type) {
      case types.data:
        return this.onData(payload);
      case types.end:
        this.#gotEnd = true;
        this.onEnd();
        return this.#finish();
      case types.reset:
        this.over();
        return this.onReset();
      case types.window: {
        this.#credit += new DataView(payload.buffer, payload.byteOffset, payload.length).getUint32(0);
        const wasFull = this.#waiting.length > 0;
        this.#flush();
        if (wasFull && this.#waiting.length === 0) this.onDrain();
      }
    }
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#credit > 0) {
      const first = this.#waiting[0]!;
      const now = first.subarray(0, this.#credit);
      if (now.length === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(now.length);
      this.#credit -= now.length;
      this.emit(types.data, now);
    }
    if (this.#ending && !this.#sentEnd && this.#waiting.length === 0) {
      this.#sentEnd = true;
      this.emit(types.end);
      this.#finish();
    }
  }
  #finish(): void {
    if (this.#sentEnd && this.#gotEnd) this.over();
  }
}

export class Mux {
  readonly #streams = new Map<number, MuxStream>();
  #next = 1;
  constructor(private readonly options: MuxOptions) {}

  /** Undefined: there are as many as there may be. */
  open(): MuxStream | undefined {
    if (this.#streams.size >= this.options.streamsMax) return undefined;
    const stream = this.#add(this.#next++);
    this.#send(types.open, stream.id);
    return stream;
  }

  /** A message of the other side. Throws for one that cannot be. */
  receive(message: Uint8Array): void {
    if (message.length < headBytes) throw new Error('a message of the tunnel is cut short');
    const type = message[0]!;
    const id = new DataView(message.buffer, message.byteOffset, headBytes).getUint32(1);
    if (type === types.open) return this.#opened(id);
    if (type > types.window || type === 0) throw new Error(`the tunnel has no message of type ${type}`);
    const payload = message.subarray(headBytes);
    if (type === types.window && payload.length !== 4) throw new Error('a window of the tunnel is cut short');
    this.#streams.get(id)?.take(type, payload); // of a stream that is over: it was on its way
  }

  /** The connection is gone. */
  close(): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.onReset();
  }

  #opened(id: number): void {
    const { onOpen, streamsMax } = this.options;
    if (!onOpen || this.#streams.has(id)) throw new Error(`stream ${id} of the tunnel cannot be opened`);
    if (this.#streams.size >= streamsMax) return this.#send(types.reset, id);
    onOpen(this.#add(id));
  }
  #add(id: number): MuxStream {
    const stream = new MuxStream(
      id,
      (type, payload) => this.#send(type, id, payload),
      () => void this.#streams.delete(id),
    );
    this.#streams.set(id, stream);
    return stream;
  }
  #send(type: number, id: number, payload: Uint8Array = new Uint8Array()): void {
    const message = new Uint8Array(headBytes + payload.length);
    message[0] = type;
    new DataView(message.buffer).setUint32(1, id);
    message.set(payload, headBytes);
    this.options.send(message);
  }
}

/** A TCP socket, as node:net has it. */
export interface PipedSocket {
  on(event: 'data', handler: (bytes: Buffer) => void): unknown;
  on(event: 'end' | 'close', handler: () => void): unknown;
  on(event: 'error', handler: (error: Error) => void): unknown;
  write(bytes: Uint8Array, done: () => void): boolean;
  end(): unknown;
  destroy(): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** Both ways, each at the pace of its reader. */
export function pipe(stream: MuxStream, socket: PipedSocket): void {
  let over = false;
  const finish = (): void => {
    if (over) return;
    over = true;
    stream.reset();
  };
  let ends = 0;
  const ended = (): void => {
    if (++ends === 2) over = true; // both sides are done: the stream is over without a word
  };
  socket.on('data', (bytes) => {
    if (!stream.write(bytes)) socket.pause();
  });
  stream.onDrain = () => void socket.resume();
  socket.on('end', () => {
    stream.end();
    ended();
  });
  socket.on('error', finish);
  socket.on('close', finish);
  stream.onData = (bytes) => void socket.write(bytes, () => stream.consumed(bytes.length));
  stream.onEnd = () => {
    socket.end();
    ended();
  };
  stream.onReset = () => {
    over = true;
    socket.destroy();
  };
}
