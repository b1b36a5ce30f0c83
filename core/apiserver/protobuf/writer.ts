/**
 * Writes a protobuf message from its end to its beginning, so that the length of every part is known when it is written
 * in front of it: one pass, no sums beforehand, no buffers of parts.
 */
export class BackwardWriter {
  #bytes: Buffer;
  #at: number;

  constructor(sizeBytes = 16 * 1024) {
    this.#bytes = Buffer.allocUnsafe(sizeBytes);
    this.#at = sizeBytes;
  }
  /** Bytes written so far. */
  get length(): number {
    return this.#bytes.length - this.#at;
  }
  clear(): void {
    this.#at = this.#bytes.length;
  }
  /** A copy of what was written since `length` was `since`. */
  copy(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#bytes, this.#at);
  }

  #reserve(count: number): void {
    if (count <= this.#at) return;
    const used = this.length;
    const next = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, used + count));
    this.#bytes.copy(next, next.length - used, this.#at);
    this.#at = next.length - used;
    this.#bytes = next;
  }
  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[--this.#at] = value;
  }
  /** Up to 2^53; negative numbers take ten bytes, as a 64-bit two's complement. */
  varint(value: number): void {
    this.#reserve(10);
    let size = 1;
    if (value >= 0) for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
    else size = 10;
    this.#at -= size;
    let at = this.#at;
    if (value >= 0) {
      let rest = value;
      for (; rest >= 128; rest = Math.floor(rest / 128)) this.#bytes[at++] = (rest % 128) | 0x80;
      this.#bytes[at] = rest;
      return;
    }
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest >= 128n; rest >>= 7n) this.#bytes[at++] = Number(rest & 127n) | 0x80;
    this.#bytes[at] = Number(rest);
  }
  text(value: string): void {
    const size = Buffer.byteLength(value);
    this.#reserve(size);
    this.#at -= size;
    this.#bytes.write(value, this.#at, size, 'utf8');
  }
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#at -= value.length;
    this.#bytes.set(value, this.#at);
  }
  double(value: number): void {
    this.#reserve(8);
    this.#at -= 8;
    this.#bytes.writeDoubleLE(value, this.#at);
  }
}
