import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { spdyDictionary, spdyDictionaryId } from './spdy-dictionary.ts';

/** Names are lower case; a name that comes twice keeps its values in order. */
export type SpdyHeaders = Readonly<Record<string, readonly string[]>>;

export const headerBlockBytesMax = 64 * 1024; // uncompressed; a port-forward stream needs 100
const headersMax = 100;
const windowBytes = 32 * 1024; // zlib's history

/**
 * zlib with a history that lives as long as the connection, made of stateless calls: every block ends with a sync flush, so
 * it starts on a byte and needs nothing from the ones before but their last 32 KiB of text, given as the dictionary.
 * (A zlib stream object would do the same, but only asynchronously, and frames must be handled in order.)
 */
class History {
  #window: Buffer = spdyDictionary;
  started = false;
  get window(): Buffer {
    return this.#window;
  }
  push(text: Uint8Array): void {
    this.#window = Buffer.concat([this.#window, text]).subarray(-windowBytes);
  }
}

export class HeaderCompressor {
  readonly #history = new History();
  compress(headers: SpdyHeaders): Uint8Array {
    const text = headerBlock(headers);
    const body = deflateRawSync(text, { dictionary: this.#history.window, finishFlush: constants.Z_SYNC_FLUSH });
    this.#history.push(text);
    if (this.#history.started) return body;
    this.#history.started = true;
    const head = Buffer.from([0x78, 0xbb, 0, 0, 0, 0]); // deflate, 32 KiB, dictionary follows; 0x78bb is a multiple of 31
    head.writeUInt32BE(spdyDictionaryId, 2);
    return Buffer.concat([head, body]);
  }
}

export class HeaderDecompressor {
  readonly #history = new History();
  /** Throws when the block is damaged, too long, or was made with another dictionary. */
  decompress(block: Uint8Array): SpdyHeaders {
    let body = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
    if (!this.#history.started) {
      if (body.length < 6 || (body[0]! & 0x0f) !== 8 || (body[1]! & 0x20) === 0)
        throw new Error('header block is not zlib');
      if (body.readUInt32BE(2) !== spdyDictionaryId) throw new Error('header block uses an unknown dictionary');
      body = body.subarray(6);
      this.#history.started = true;
    }
    const text = inflateRawSync(body, {
      dictionary: this.#history.window,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: headerBlockBytesMax,
    });
    this.#history.push(text);
    return parseHeaderBlock(text);
  }
}

/** Count, then each name and value behind its length; several values are separated by NUL. */
export function headerBlock(headers: SpdyHeaders): Buffer {
  const entries = Object.entries(headers);
  const parts: Buffer[] = [uint32(entries.length)];
  for (const [name, values] of entries) {
    for (const text of [name.toLowerCase(), values.join('\0')]) {
      const bytes = Buffer.from(text, 'utf8');
      parts.push(uint32(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

export function parseHeaderBlock(text: Buffer): SpdyHeaders {
  let at = 0;
  const number = (): number => {
    if (at + 4 > text.length) throw new Error('header block ends early');
    at += 4;
    return text.readUInt32BE(at - 4);
  };
  const string = (): string => {
    const length = number();
    if (at + length > text.length) throw new Error('header block ends early');
    at += length;
    return text.toString('utf8', at - length, at);
  };
  const count = number();
  if (count > headersMax) throw new Error(`header block has ${count} headers, at most ${headersMax} are read`);
  const headers: Record<string, readonly string[]> = Object.create(null);
  for (let index = 0; index < count; index++) {
    const name = string().toLowerCase();
    if (name === '') throw new Error('header block has a header without a name');
    headers[name] = [...(headers[name] ?? []), ...string().split('\0')];
  }
  if (at !== text.length) throw new Error('header block has bytes behind its last header');
  return headers;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
