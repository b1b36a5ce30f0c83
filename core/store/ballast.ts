import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs';

export const ballastBytes = 16 * 1024 * 1024;
const retryEveryMs = 1000;

/**
 * Disk space set aside. In WAL mode even a DELETE needs room; on a full disk the ballast is given up so that deletions work,
 * and taken again before anything may grow.
 */
export class Ballast {
  #released = false;
  #triedAtMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly path: string) {}

  /** True while the disk is taken to be full. */
  get released(): boolean {
    return this.#released;
  }

  release(): void {
    this.#released = true;
    rmSync(this.path, { force: true });
  }

  /** Tries at most once a second. Real bytes, since a sparse file reserves nothing. */
  restore(nowMs: number): void {
    if (this.#released && nowMs - this.#triedAtMs < retryEveryMs) return;
    this.#triedAtMs = nowMs;
    try {
      if (statSync(this.path, { throwIfNoEntry: false })?.size !== ballastBytes) write(this.path);
      this.#released = false;
    } catch {
      this.release();
    }
  }
}

function write(path: string): void {
  const chunk = new Uint8Array(1024 * 1024);
  const file = openSync(path, 'w', 0o600);
  try {
    for (let written = 0; written < ballastBytes; )
      written += writeSync(file, chunk, 0, Math.min(chunk.length, ballastBytes - written));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
