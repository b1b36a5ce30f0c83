import { errors } from '#api';
import { gzipLarge } from './answer.ts';
import { piecesFromBytes } from './piece-stream.ts';

/** Bodies kept of all kinds together, and of one. */
export const keptBytesMax = 64 * 1024 * 1024;
const bodyBytesMax = keptBytesMax / 2;

/** Large answers on their way at once: each holds a piece and what lies in its socket, half a megabyte. */
export const sendingMax = 128;

export interface ListBody {
  readonly bytes: Uint8Array;
  /** Made on first demand and kept with it. */
  compressed(): Promise<Uint8Array>;
}
interface Kept extends ListBody {
  readonly version: string;
}
interface Whole {
  readonly totalBytes: number;
  whole(): Uint8Array;
}

/**
 * The newest whole list of each collection as it was sent: while nothing is written, further lists copy and compress nothing.
 * Keyed by what is listed and in which form; a body is good for one resource version only.
 */
export class ListBodies {
  readonly #kept = new Map<string, Kept>();
  /** The version of the last list that was too large to be made as a whole for one reader. */
  readonly #seen = new Map<string, string>();
  #keptBytes = 0;
  #sending = 0;

  constructor(private readonly bytesMax = keptBytesMax) {}

  get keptBytes(): number {
    return this.#keptBytes;
  }
  get sending(): number {
    return this.#sending;
  }
  /** Counts a large answer until the returned function is called. Throws 429 when too many are on their way. */
  send(): () => void {
    if (this.#sending >= sendingMax)
      throw errors.tooManyRequests('Too many large lists are on their way, please try again later.', 1);
    this.#sending++;
    let isOver = false;
    return () => {
      if (!isOver) this.#sending--;
      isOver = true;
    };
  }

  /** Undefined: to be sent in pieces. A large body is made and kept when its version is asked for again. */
  get(key: string, version: string, list: Whole): ListBody | undefined {
    const known = this.#kept.get(key);
    if (known?.version === version) return known;
    this.#drop(key);
    if (list.totalBytes > Math.min(bodyBytesMax, this.bytesMax)) return undefined;
    if (list.totalBytes > piecesFromBytes && this.#seen.get(key) !== version) {
      this.#seen.delete(key);
      this.#seen.set(key, version);
      if (this.#seen.size > seenMax) this.#seen.delete(this.#seen.keys().next().value!);
      return undefined;
    }
    const bytes = list.whole();
    let gzip: Promise<Uint8Array> | undefined;
    const body: Kept = { version, bytes, compressed: () => (gzip ??= gzipLarge(bytes)) };
    this.#kept.set(key, body);
    this.#keptBytes += bytes.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes <= this.bytesMax) break;
      this.#drop(oldest);
    }
    return body;
  }
  #drop(key: string): void {
    const known = this.#kept.get(key);
    if (!known) return;
    this.#kept.delete(key);
    this.#keptBytes -= known.bytes.length;
  }
}
const seenMax = 1000;
