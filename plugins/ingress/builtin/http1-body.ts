import type { Framing } from './http1-head.ts';

/** Finds the end of a message's body in the bytes of a connection. */
export interface BodyReader {
  /** Calls `onPart` with pieces of the payload. Returns how many bytes were its own; undefined: malformed. */
  read(bytes: Buffer, onPart: (part: Buffer) => void): number | undefined;
  readonly isDone: boolean;
  /** The end of the connection is the end of the body. */
  readonly untilClose: boolean;
}

export function readerOf(framing: Framing): BodyReader {
  if (framing.type === 'chunked') return new ChunkedReader();
  return new LengthReader(framing.type === 'length' ? framing.bytes : framing.type === 'close' ? Infinity : 0);
}

class LengthReader implements BodyReader {
  readonly untilClose: boolean;
  constructor(private rest: number) {
    this.untilClose = rest === Infinity;
  }
  get isDone(): boolean {
    return this.rest === 0;
  }
  read(bytes: Buffer, onPart: (part: Buffer) => void): number {
    const own = Math.min(this.rest, bytes.length);
    if (own > 0) onPart(own === bytes.length ? bytes : bytes.subarray(0, own));
    this.rest -= own;
    return own;
  }
}

const [cr, lf] = [13, 10];
const sizeDigitsMax = 12;
const trailerBytesMax = 8_192;

/** Chunk extensions are refused and trailers dropped: nobody uses the first, and both have carried smuggled requests. */
class ChunkedReader implements BodyReader {
  readonly untilClose = false;
  #state: 'size' | 'size-lf' | 'data' | 'data-cr' | 'data-lf' | 'trailer' | 'done' = 'size';
  #digits = 0;
  #rest = 0;
  #line = 0; // bytes in this line of the trailer
  #trailer = 0;
  get isDone(): boolean {
    return this.#state === 'done';
  }
  read(bytes: Buffer, onPart: (part: Buffer) => void): number | undefined {
    let at = 0;
    while (at < bytes.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const end = Math.min(bytes.length, at + this.#rest);
        onPart(bytes.subarray(at, end));
        this.#rest -= end - at;
        at = end;
        if (this.#rest === 0) this.#state = 'data-cr';
      } else if (!this.#step(bytes[at++]!)) return undefined;
    }
    return at;
  }
  /** One byte that is no payload; false: malformed. */
  #step(byte: number): boolean {
    switch (this.#state) {
      case 'size':
        return this.#sizeByte(byte);
      case 'size-lf':
        this.#state = this.#rest > 0 ? 'data' : 'trailer';
        this.#digits = 0;
        return byte === lf;
      case 'data-cr':
        this.#state = 'data-lf';
        return byte === cr;
      case 'data-lf':
        this.#state = 'size';
        return byte === lf;
      default:
        return this.#trailerByte(byte);
    }
  }
  #sizeByte(byte: number): boolean {
    const digit = digitOf(byte);
    if (digit >= 0) {
      if (++this.#digits > sizeDigitsMax) return false;
      this.#rest = this.#rest * 16 + digit;
      return true;
    }
    this.#state = 'size-lf';
    return byte === cr && this.#digits > 0;
  }
  #wasCr = false;
  #trailerByte(byte: number): boolean {
    if (++this.#trailer > trailerBytesMax) return false;
    if (this.#wasCr !== (byte === lf)) return false; // neither without the other
    if (byte === lf) {
      if (this.#line === 0) this.#state = 'done';
      this.#line = 0;
      this.#wasCr = false;
    } else if (byte === cr) this.#wasCr = true;
    else this.#line++;
    return true;
  }
}
function digitOf(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** One chunk as it is sent. */
export function chunkOf(part: Buffer): Buffer {
  const size = `${part.length.toString(16)}\r\n`;
  const whole = Buffer.allocUnsafe(size.length + part.length + 2);
  whole.write(size, 0, 'latin1');
  part.copy(whole, size.length);
  whole.write('\r\n', size.length + part.length, 'latin1');
  return whole;
}
export const lastChunk = Buffer.from('0\r\n\r\n');
