import { pieceBytes } from '../piece-stream.ts';
import { envelopeHead, envelopeTail, varintBytes } from './envelope.ts';

/** A protobuf list from the messages of its items: the whole, or pieces that copy only what goes out next. */
export class MessagePieces {
  readonly totalBytes: number;
  readonly #head: Uint8Array;

  constructor(
    apiVersion: string,
    kind: string,
    listMeta: Uint8Array,
    private readonly items: readonly Uint8Array[],
  ) {
    const meta = [0x0a, ...varintBytes(listMeta.length), ...listMeta];
    let messageBytes = meta.length;
    for (const item of items) messageBytes += 1 + varintLength(item.length) + item.length;
    this.#head = Buffer.concat([envelopeHead(apiVersion, kind, messageBytes), Uint8Array.from(meta)]);
    this.totalBytes = this.#head.length + messageBytes - meta.length + envelopeTail.length;
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
    let buffer = Buffer.allocUnsafeSlow(bytesMax);
    let at = 0;
    for (const part of this.#parts()) {
      for (let from = 0; from < part.length; ) {
        if (at === bytesMax) {
          yield buffer;
          buffer = Buffer.allocUnsafeSlow(bytesMax);
          at = 0;
        }
        const end = Math.min(part.length, from + bytesMax - at);
        buffer.set(from === 0 && end === part.length ? part : part.subarray(from, end), at);
        at += end - from;
        from = end;
      }
    }
    yield buffer.subarray(0, at);
  }
  *#parts(): Generator<Uint8Array> {
    yield this.#head;
    for (const item of this.items) {
      yield Uint8Array.from([0x12, ...varintBytes(item.length)]);
      yield item;
    }
    yield envelopeTail;
  }
}
function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}
