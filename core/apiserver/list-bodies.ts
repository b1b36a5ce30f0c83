import { gzipLarge } from './answer.ts';

/** Bodies kept of all kinds together, and of one. */
export const keptBytesMax = 64 * 1024 * 1024;
const bodyBytesMax = keptBytesMax / 2;

export interface ListBody {
  readonly bytes: Uint8Array;
  /** Made on first demand and kept with it. */
  compressed(): Promise<Uint8Array>;
}
interface Kept extends ListBody {
  readonly version: string;
}

/**
 * The newest whole list of each collection as it was sent: while nothing is written, further lists copy and compress nothing.
 * Keyed by what is listed and in which form; a body is good for one resource version only.
 */
export class ListBodies {
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;

  constructor(private readonly bytesMax = keptBytesMax) {}

  get keptBytes(): number {
    return this.#keptBytes;
  }
  get(key: string, version: string, make: () => Uint8Array): ListBody {
    const known = this.#kept.get(key);
    if (known?.version === version) return known;
    this.#drop(key);
    const bytes = make();
    let gzip: Promise<Uint8Array> | undefined;
    const body: Kept = { version, bytes, compressed: () => (gzip ??= gzipLarge(bytes)) };
    if (bytes.length > Math.min(bodyBytesMax, this.bytesMax)) return body;
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
