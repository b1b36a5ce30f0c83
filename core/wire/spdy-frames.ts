/** SPDY/3.1 frames as values and bytes; no connection state but what is still missing of a frame. */
export type SpdyFrame =
  | { readonly type: 'data'; readonly stream: number; readonly fin: boolean; readonly bytes: Uint8Array }
  | {
      readonly type: 'synStream';
      readonly stream: number;
      readonly fin: boolean;
      readonly unidirectional: boolean;
      readonly associated: number;
      readonly priority: number;
      /** Compressed. */
      readonly block: Uint8Array;
    }
  | {
      readonly type: 'synReply' | 'headers';
      readonly stream: number;
      readonly fin: boolean;
      readonly block: Uint8Array;
    }
  | { readonly type: 'rstStream'; readonly stream: number; readonly status: number }
  | { readonly type: 'settings'; readonly values: readonly { readonly id: number; readonly value: number }[] }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'goAway'; readonly lastStream: number; readonly status: number }
  | { readonly type: 'windowUpdate'; readonly stream: number; readonly deltaBytes: number }
  /** Of a type that this version does not know: to be ignored. */
  | { readonly type: 'unknown'; readonly code: number };

export const rstStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  unsupportedVersion: 4,
  cancel: 5,
  internalError: 6,
  flowControlError: 7,
  streamInUse: 8,
  streamAlreadyClosed: 9,
  frameTooLarge: 11,
} as const;
export const goAwayStatus = { ok: 0, protocolError: 1, internalError: 2 } as const;
export const settingInitialWindow = 7;

const codes = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;
const headBytes = 8;
const finFlag = 1;

/** The other side broke the protocol: the connection ends with GOAWAY. */
export class SpdyError extends Error {
  override readonly name = 'SpdyError';
}

/** Cuts a byte stream into frames. Holds at most one incomplete frame, at most `frameBytesMax` of it. */
export class SpdyFrameReader {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #neededBytes = headBytes;

  constructor(readonly frameBytesMax: number) {}

  /** Every frame that `bytes` completes. Throws SpdyError. The frames may share memory with `bytes`. */
  *feed(bytes: Uint8Array): Generator<SpdyFrame> {
    if (bytes.length === 0) return;
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes < this.#neededBytes) return; // do not join small pieces of a big frame again and again
    let rest = this.#parts.length === 1 ? buffer(this.#parts[0]!) : Buffer.concat(this.#parts);
    this.#neededBytes = headBytes;
    while (rest.length >= headBytes) {
      const length = rest.readUIntBE(5, 3);
      if (length > this.frameBytesMax)
        throw new SpdyError(`frame of ${length} bytes is longer than ${this.frameBytesMax}`);
      if (rest.length < headBytes + length) {
        this.#neededBytes = headBytes + length;
        break;
      }
      yield decodeFrame(rest.subarray(0, headBytes + length));
      rest = rest.subarray(headBytes + length);
    }
    this.#parts = rest.length > 0 ? [Buffer.from(rest)] : []; // a copy: the caller may reuse its buffer
    this.#bytes = rest.length;
  }
}

/** `frame` is one whole frame. */
export function decodeFrame(frame: Buffer): SpdyFrame {
  const flags = frame[4]!;
  const body = frame.subarray(headBytes);
  if ((frame[0]! & 0x80) === 0) {
    const stream = frame.readUInt32BE(0);
    if (stream === 0) throw new SpdyError('data on stream 0');
    return { type: 'data', stream, fin: (flags & finFlag) !== 0, bytes: body };
  }
  const version = frame.readUInt16BE(0) & 0x7fff;
  if (version !== 3) throw new SpdyError(`SPDY version ${version} is not spoken here, only 3`);
  return decodeControl(frame.readUInt16BE(2), flags, body);
}

function decodeControl(code: number, flags: number, body: Buffer): SpdyFrame {
  const need = (bytes: number) => {
    if (body.length < bytes) throw new SpdyError(`control frame ${code} has ${body.length} bytes, not ${bytes}`);
  };
  const id = (at: number) => body.readUInt32BE(at) & 0x7fffffff;
  const fin = (flags & finFlag) !== 0;
  switch (code) {
    case codes.synStream:
      need(10);
      return {
        type: 'synStream',
        stream: id(0),
        fin,
        unidirectional: (flags & 2) !== 0,
        associated: id(4),
        priority: body[8]! >> 5,
        block: body.subarray(10),
      };
    case codes.synReply:
    case codes.headers:
      need(4);
      return { type: code === codes.headers ? 'headers' : 'synReply', stream: id(0), fin, block: body.subarray(4) };
    case codes.rstStream:
      need(8);
      return { type: 'rstStream', stream: id(0), status: body.readUInt32BE(4) };
    case codes.settings: {
      need(4);
      const count = body.readUInt32BE(0);
      if (count > 1000) throw new SpdyError(`${count} settings in one frame`);
      need(4 + count * 8);
      const values = Array.from({ length: count }, (_, index) => ({
        id: body.readUIntBE(5 + index * 8, 3), // behind a byte of flags
        value: body.readUInt32BE(8 + index * 8),
      }));
      return { type: 'settings', values };
    }
    case codes.ping:
      need(4);
      return { type: 'ping', id: body.readUInt32BE(0) };
    case codes.goAway:
      need(8);
      return { type: 'goAway', lastStream: id(0), status: body.readUInt32BE(4) };
    case codes.windowUpdate:
      need(8);
      return { type: 'windowUpdate', stream: id(0), deltaBytes: id(4) };
    default:
      return { type: 'unknown', code };
  }
}

export function encodeFrame(frame: Exclude<SpdyFrame, { type: 'unknown' }>): Uint8Array {
  switch (frame.type) {
    case 'data': {
      const bytes = Buffer.allocUnsafe(headBytes + frame.bytes.length);
      bytes.writeUInt32BE(frame.stream, 0);
      bytes.writeUInt32BE(frame.bytes.length, 4);
      bytes[4] = frame.fin ? finFlag : 0;
      bytes.set(frame.bytes, headBytes);
      return bytes;
    }
    case 'synStream': {
      const head = Buffer.alloc(10);
      head.writeUInt32BE(frame.stream, 0);
      head.writeUInt32BE(frame.associated, 4);
      head[8] = frame.priority << 5;
      return control(codes.synStream, (frame.fin ? 1 : 0) | (frame.unidirectional ? 2 : 0), head, frame.block);
    }
    case 'synReply':
    case 'headers':
      return control(codes[frame.type], frame.fin ? finFlag : 0, words(frame.stream), frame.block);
    case 'rstStream':
      return control(codes.rstStream, 0, words(frame.stream, frame.status));
    case 'settings':
      return control(
        codes.settings,
        0,
        words(frame.values.length, ...frame.values.flatMap(({ id, value }) => [id, value])),
      );
    case 'ping':
      return control(codes.ping, 0, words(frame.id));
    case 'goAway':
      return control(codes.goAway, 0, words(frame.lastStream, frame.status));
    case 'windowUpdate':
      return control(codes.windowUpdate, 0, words(frame.stream, frame.deltaBytes));
  }
}

function control(code: number, flags: number, ...parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(headBytes);
  head.writeUInt16BE(0x8003, 0); // control bit, version 3
  head.writeUInt16BE(code, 2);
  head.writeUInt32BE(length, 4);
  head[4] = flags;
  return Buffer.concat([head, ...parts]);
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value, index * 4);
  });
  return bytes;
}

const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
