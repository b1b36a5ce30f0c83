import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';

/**
 * The newest acknowledged version, in a file of its own beside the database. It is not synced: after a loss of power it may say
 * too little, never too much. So a database that ends before it has lost acknowledged writes, which SQLite by itself cannot see
 * (a cut or damaged log reads as a shorter one).
 */
export class Witness {
  #file: number | undefined;
  readonly #text = Buffer.alloc(lineBytes);

  constructor(readonly path: string) {}

  /** 0 when there is none, or none that can be read: it only ever proves a loss. */
  read(): number {
    const size = statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
    if (size !== lineBytes) return 0;
    const match = linePattern.exec(readFileSync(this.path, 'latin1'));
    return match && match[2] === sumOf(match[1]!) ? Number(match[1]) : 0;
  }

  /** In place and within one sector: neither torn nor in need of disk space. Throws nothing: a lost hint loses no write. */
  write(version: number): void {
    try {
      this.#file ??= openSync(this.path, statSync(this.path, { throwIfNoEntry: false }) ? 'r+' : 'w+', 0o600);
      const digits = String(version).padStart(digitsMax, '0');
      this.#text.write(`acknowledged ${digits} ${sumOf(digits)}\n`, 'latin1');
      writeSync(this.#file, this.#text, 0, lineBytes, 0);
    } catch {
      this.close();
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

const digitsMax = 16; // 2^53
const lineBytes = 13 + digitsMax + 1 + 8 + 1;
const linePattern = /^acknowledged (\d{16}) ([0-9a-f]{8})\n$/;
const sumOf = (digits: string): string => Bun.hash.crc32(digits).toString(16).padStart(8, '0');
