import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Log } from '#base';
import { type RootKey, rootKeyBytes, rootKeyId } from './seal.ts';

/** The keys that Secrets are sealed with. Several API servers may share them, and read what others add at once. */
export interface RootKeys {
  /** The one that seals. */
  first(): RootKey;
  byId(id: string): RootKey | undefined;
  /** Of the keys that are older than the first one. */
  older(): readonly string[];
  /** For good: what is sealed with them cannot be opened after this process. */
  remove(ids: readonly string[]): void;
}

const suffix = '.key';

/**
 * A folder with a file `ID.key` for each key (32 bytes in base64); the highest id seals. Adding a key is one rename and removing one
 * is one unlink, so that nobody who shares the folder needs a lock, and a crash leaves it whole.
 * A file that cannot be read as a key is left alone and counts as lost.
 */
export class KeyFolder implements RootKeys {
  #seen = '';
  #first: RootKey | undefined;
  #listed: readonly string[] = [];
  /** What was removed meanwhile still opens what is in history. */
  readonly #known = new Map<string, RootKey>();

  constructor(
    private readonly folder: string,
    private readonly log: Log,
  ) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }
  first(): RootKey {
    this.#look();
    if (!this.#first) {
      addKey(this.folder);
      this.#look();
    }
    return this.#first!;
  }
  byId(id: string): RootKey | undefined {
    if (!this.#known.has(id)) this.#look();
    return this.#known.get(id);
  }
  older(): readonly string[] {
    const first = this.first().id;
    return this.#listed.filter((id) => id !== first);
  }
  remove(ids: readonly string[]): void {
    for (const id of ids) rmSync(join(this.folder, id + suffix), { force: true });
    syncFolder(this.folder);
  }
  /** One look at the names when nothing changed: the folder's time is too coarse to tell. */
  #look(): void {
    const ids = keyIds(this.folder);
    const seen = ids.join();
    if (seen === this.#seen) return;
    const readable: RootKey[] = [];
    for (const id of ids) {
      const key = this.#known.get(id) ?? readKey(this.folder, id);
      if (key) {
        this.#known.set(id, key);
        readable.push(key);
      } else this.log.error('a key for secrets cannot be read', { key: id, folder: this.folder });
    }
    this.#listed = readable.map(({ id }) => id);
    this.#first = readable.at(-1);
    this.#seen = seen;
  }
}

/** Oldest first. */
export const keyIds = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(suffix) && rootKeyId.test(name.slice(0, -suffix.length)))
    .map((name) => name.slice(0, -suffix.length))
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1));

/** Makes a key that is newer than all others, on disk before this returns. Returns its id. */
export function addKey(folder: string): string {
  const newest = Number.parseInt(keyIds(folder).at(-1) ?? '0', 10);
  const id = `${String(newest + 1).padStart(4, '0')}-${randomBytes(4).toString('hex')}`;
  const path = join(folder, id + suffix);
  const file = openSync(`${path}.new`, 'wx', 0o600);
  try {
    writeSync(file, `${randomBytes(rootKeyBytes).toString('base64')}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  syncFolder(folder);
  return id;
}

function readKey(folder: string, id: string): RootKey | undefined {
  try {
    const bytes = Buffer.from(readFileSync(join(folder, id + suffix), 'utf8').trim(), 'base64');
    return bytes.length === rootKeyBytes ? { id, bytes } : undefined;
  } catch {
    return undefined;
  }
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
