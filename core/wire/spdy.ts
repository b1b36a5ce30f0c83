import { messageOf } from '#base';
import {
  encodeFrame,
  goAwayStatus,
  rstStatus,
  type SpdyFrame,
  SpdyFrameReader,
  settingInitialWindow,
} from './spdy-frames.ts';
import { HeaderCompressor, HeaderDecompressor, type SpdyHeaders } from './spdy-headers.ts';
import { SpdyStream } from './spdy-stream.ts';

export interface SpdyConnectionOptions {
  readonly role: 'server' | 'client';
  /** Hands bytes to the transport in order. A promise says when there is room for more. */
  write(bytes: Uint8Array): Promise<void> | void;
  /** A stream that the other side opened. Answer with reply() or reset(). */
  onStream?(stream: SpdyStream): void;
  /** Once: the connection is over, `reason` says why when it was not asked for. */
  onClose?(reason?: Error): void;
  /** Streams hold more than `bufferedBytesHigh` unread (true) or have come down to half of it (false): stop or go on feeding. */
  onPressure?(high: boolean): void;
  readonly streamsMax?: number;
  readonly bufferedBytesHigh?: number;
}

const frameBytesMax = 1024 * 1024; // clients send 32 KiB at a time
const dataBytesMax = 32 * 1024; // what we put into one frame
const windowBytes = 64 * 1024; // SPDY/3.1's initial window, of a stream and of the session
/** A transport that cannot stop feeding is cut here. */
const overflowFactor = 8;

/**
 * SPDY/3.1 on any transport: `feed` what came in, `write` is called with what goes out. Flow control: our own windows are
 * announced for what was consumed; the peer's are obeyed from its first WINDOW_UPDATE or SETTINGS on, because the one
 * implementation in use (client-go's) neither sends nor honours them and relies on the transport's back-pressure.
 */
export class SpdyConnection {
  readonly #options: SpdyConnectionOptions;
  readonly #reader = new SpdyFrameReader(frameBytesMax);
  readonly #compressor = new HeaderCompressor();
  readonly #decompressor = new HeaderDecompressor();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #streamsMax: number;
  readonly #highBytes: number;
  #nextId: number;
  #lastPeerId = 0;
  #bufferedBytes = 0;
  #pressed = false;
  #consumedBytes = new Map<number, number>();
  #peerInitialWindowBytes: number | undefined;
  #closed = false;

  constructor(options: SpdyConnectionOptions) {
    this.#options = options;
    this.#streamsMax = options.streamsMax ?? 512;
    this.#highBytes = options.bufferedBytesHigh ?? 1024 * 1024;
    this.#nextId = options.role === 'client' ? 1 : 2;
  }

  get streams(): number {
    return this.#streams.size;
  }
  get closed(): boolean {
    return this.#closed;
  }

  feed(bytes: Uint8Array): void {
    if (this.#closed) return;
    try {
      for (const frame of this.#reader.feed(bytes)) {
        this.#receive(frame);
        if (this.#closed) return;
      }
    } catch (error) {
      this.#goAway(goAwayStatus.protocolError, error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  open(headers: SpdyHeaders): SpdyStream {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = this.#add(id, headers);
    const block = this.#compressor.compress(headers);
    void this.#send({
      type: 'synStream',
      stream: id,
      fin: false,
      unidirectional: false,
      associated: 0,
      priority: 0,
      block,
    });
    return stream;
  }

  /** Says GOAWAY and ends every stream. */
  close(): void {
    this.#goAway(goAwayStatus.ok);
  }

  /** The transport is gone: every stream fails, nothing is sent. */
  transportClosed(reason?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of [...this.#streams.values()]) stream.abort(reason ?? new Error('connection closed'));
    this.#options.onClose?.(reason);
  }

  #receive(frame: SpdyFrame): void {
    switch (frame.type) {
      case 'data':
        this.#receiveData(frame);
        return;
      case 'synStream':
        this.#receiveStream(frame);
        return;
      case 'synReply':
      case 'headers': {
        this.#decompressor.decompress(frame.block); // always: the history is the connection's
        if (frame.fin) this.#streams.get(frame.stream)?.receive(new Uint8Array(0), true);
        return;
      }
      case 'rstStream':
        this.#streams.get(frame.stream)?.abort(new Error(`stream was reset with status ${frame.status}`));
        return;
      case 'settings':
        for (const { id, value } of frame.values) if (id === settingInitialWindow) this.#setInitialWindow(value);
        return;
      case 'ping':
        // Odd numbers are the client's; an answer to a ping of our own needs nothing.
        if ((frame.id % 2 === 1) === (this.#options.role === 'server')) void this.#send({ type: 'ping', id: frame.id });
        return;
      case 'goAway':
        this.transportClosed();
        return;
      case 'windowUpdate':
        this.#peerInitialWindowBytes ??= windowBytes;
        if (frame.stream !== 0)
          this.#streams.get(frame.stream)?.addWindow(frame.deltaBytes, this.#peerInitialWindowBytes);
        return;
      case 'unknown':
        return;
    }
  }

  #receiveStream(frame: Extract<SpdyFrame, { type: 'synStream' }>): void {
    const headers = this.#decompressor.decompress(frame.block);
    const fromPeer = (frame.stream % 2 === 1) === (this.#options.role === 'server');
    if (!fromPeer || frame.stream <= this.#lastPeerId) {
      this.#goAway(goAwayStatus.protocolError, new Error(`stream id ${frame.stream} is out of order`));
      return;
    }
    this.#lastPeerId = frame.stream;
    if (this.#streams.size >= this.#streamsMax || !this.#options.onStream) {
      void this.#send({ type: 'rstStream', stream: frame.stream, status: rstStatus.refusedStream });
      return;
    }
    const stream = this.#add(frame.stream, headers);
    if (frame.fin) stream.receive(new Uint8Array(0), true);
    this.#options.onStream(stream);
  }

  #receiveData(frame: Extract<SpdyFrame, { type: 'data' }>): void {
    const stream = this.#streams.get(frame.stream);
    if (!stream?.readable) {
      if (!stream) void this.#send({ type: 'rstStream', stream: frame.stream, status: rstStatus.invalidStream });
      return;
    }
    if (!stream.incoming.ended) this.#bufferedBytes += frame.bytes.length;
    stream.receive(frame.bytes, frame.fin);
    if (this.#bufferedBytes > this.#highBytes * overflowFactor) {
      this.#goAway(goAwayStatus.internalError, new Error(`more than ${this.#highBytes * overflowFactor} bytes unread`));
    } else if (!this.#pressed && this.#bufferedBytes > this.#highBytes) {
      this.#pressed = true;
      this.#options.onPressure?.(true);
    }
  }

  #taken(stream: SpdyStream, bytes: number): void {
    this.#bufferedBytes -= bytes;
    if (this.#pressed && this.#bufferedBytes <= this.#highBytes / 2) {
      this.#pressed = false;
      this.#options.onPressure?.(false);
    }
    if (this.#closed) return;
    for (const id of stream.readable ? [stream.id, 0] : [0]) {
      const consumed = (this.#consumedBytes.get(id) ?? 0) + bytes;
      const due = consumed >= windowBytes / 2;
      this.#consumedBytes.set(id, due ? 0 : consumed);
      if (due) void this.#send({ type: 'windowUpdate', stream: id, deltaBytes: consumed });
    }
  }

  #setInitialWindow(bytes: number): void {
    const before = this.#peerInitialWindowBytes;
    this.#peerInitialWindowBytes = bytes;
    for (const stream of this.#streams.values()) stream.addWindow(before === undefined ? 0 : bytes - before, bytes);
  }

  #add(id: number, headers: SpdyHeaders): SpdyStream {
    const stream = new SpdyStream(id, headers, {
      reply: (_, reply) =>
        void this.#send({ type: 'synReply', stream: id, fin: false, block: this.#compressor.compress(reply) }),
      data: (_, bytes, fin) => this.#sendData(id, bytes, fin),
      reset: (_, status) => void this.#send({ type: 'rstStream', stream: id, status }),
      taken: (taken, bytes) => this.#taken(taken, bytes),
      finished: () => {
        this.#streams.delete(id);
        this.#consumedBytes.delete(id);
      },
    });
    if (this.#peerInitialWindowBytes !== undefined) stream.addWindow(0, this.#peerInitialWindowBytes);
    this.#streams.set(id, stream);
    return stream;
  }

  async #sendData(id: number, bytes: Uint8Array, fin: boolean): Promise<void> {
    let at = 0;
    do {
      const part = bytes.subarray(at, at + dataBytesMax);
      at += part.length;
      await this.#send({ type: 'data', stream: id, fin: fin && at >= bytes.length, bytes: part });
    } while (at < bytes.length);
  }

  async #send(frame: Exclude<SpdyFrame, { type: 'unknown' }>): Promise<void> {
    if (!this.#closed) await this.#options.write(encodeFrame(frame));
  }

  #goAway(status: number, reason?: Error): void {
    if (this.#closed) return;
    void this.#send({ type: 'goAway', lastStream: this.#lastPeerId, status });
    this.transportClosed(reason);
  }
}
