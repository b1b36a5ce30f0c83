import { apiVersionOf, facts } from '#api';
import { type CachedObject, headOf } from './cached-object.ts';
import type { AnyKind } from './contract.ts';
import { pieceBytes } from './piece-stream.ts';

/** The JSON of a list, straight from the bytes of its objects: nothing is made for an object, and never the whole of it. */
export class ListPieces {
  readonly totalBytes: number;
  readonly #head: Uint8Array;
  readonly #skip: number;

  constructor(
    kind: AnyKind,
    metadata: object,
    private readonly objects: readonly CachedObject[],
  ) {
    this.#head = Buffer.from(
      `{"kind":${JSON.stringify(`${kind.kind}List`)},"apiVersion":${JSON.stringify(apiVersionOf(kind))},"metadata":${JSON.stringify(metadata)},"items":[`,
    );
    this.#skip = skipOf(kind);
    let total = this.#head.length + tail.length + Math.max(0, objects.length - 1);
    for (const object of objects) total += this.#isCut(object) ? object.size - this.#skip + 1 : object.size;
    this.totalBytes = total;
  }

  whole(): Uint8Array {
    const out = Buffer.allocUnsafe(this.totalBytes);
    let at = 0;
    for (const piece of this.pieces()) {
      out.set(piece, at);
      at += piece.length;
    }
    return out;
  }

  /** Each at most `bytesMax` long. They share nothing: a reader in this process keeps them until it has all. */
  *pieces(bytesMax = pieceBytes): Generator<Uint8Array> {
    const next = () => Buffer.allocUnsafeSlow(Math.max(bytesMax, this.#head.length));
    let buffer = next();
    buffer.set(this.#head);
    let at = this.#head.length;
    let isFirst = true;
    for (const object of this.objects) {
      const from = this.#isCut(object) ? this.#skip : 0;
      const needed = object.size - from + 2; // a comma before it and the brace that the cut took
      if (at + needed > buffer.length) {
        yield buffer.subarray(0, at);
        buffer = next();
        at = 0;
      }
      if (!isFirst) buffer[at++] = 0x2c;
      isFirst = false;
      if (from > 0) buffer[at++] = 0x7b;
      if (needed <= buffer.length) at += object.copyTo(buffer, at, from);
      else {
        if (at > 0) yield buffer.subarray(0, at);
        buffer = next();
        at = 0;
        const { bytes } = object; // larger than a piece
        for (let start = from; start < bytes.length; start += bytesMax)
          yield bytes.subarray(start, Math.min(bytes.length, start + bytesMax));
      }
    }
    if (at + tail.length > buffer.length) {
      yield buffer.subarray(0, at);
      buffer = next();
      at = 0;
    }
    buffer.set(tail, at);
    yield buffer.subarray(0, at + tail.length);
  }

  readonly #isCut = (object: CachedObject): boolean => this.#skip > 0 && object.headByte(this.#skip) === 0x22;
}
const tail = Buffer.from(']}');

/**
 * Where `"metadata"` begins in the bytes of every object of a built-in kind; 0: items keep their type.
 * Upstream's items of built-in kinds do not repeat what the list says of all of them: the head of each is left out.
 */
const skipOf = (kind: AnyKind): number =>
  facts().types[kind.type] ? Buffer.byteLength(headOf(kind)) - '"metadata":{'.length : 0;
