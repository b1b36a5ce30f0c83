import { Database, SQLiteError, type Statement } from 'bun:sqlite';
import { messageOf, PintleError } from '#base';
import { errors } from '../api/status.ts';
import { Ballast } from './ballast.ts';
import { prefixEnd } from './key.ts';
import { expired, type Refusal, refuse, tooNew } from './refusal.ts';

/** `value` is absent for a deletion; `previous` is 0 when the key did not exist before. */
export interface Row {
  readonly version: number;
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly previous: number;
  readonly previousValue?: Uint8Array;
}
export interface WriteOperation {
  readonly verb: 'create' | 'update' | 'delete';
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly expected: number | undefined;
}
export type WriteResult = { readonly row: Row } | { readonly refusal: Refusal | 'Full' };

const format = 1; // PRAGMA user_version; raised when the tables change
const damagedCodes = ['SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_FORMAT'];

/**
 * The tables, synchronously; runs inside the worker. `log` holds every version of every value once; `current` says which
 * version of a key is the newest. A value is current, or kept because a watch or a list at a version may still ask for it.
 */
export class SqliteDatabase {
  readonly #database: Database;
  readonly #ballast: Ballast;
  readonly #present: Statement<{ version: number }, [string]>;
  readonly #insert: Statement<void, [number, string, Uint8Array | null, number, number]>;
  readonly #point: Statement<void, [string, number]>;
  readonly #forget: Statement<void, [string]>;
  readonly #read: Statement<StoredRow, [number]>;
  #version: number;
  #compacted: number;

  constructor(readonly path: string) {
    this.#database = openFile(path);
    this.#ballast = new Ballast(`${path}.ballast`);
    const database = this.#database;
    this.#present = database.query('SELECT version FROM current WHERE key = ?');
    this.#insert = database.query('INSERT INTO log (version, key, value, previous, checksum) VALUES (?, ?, ?, ?, ?)');
    this.#point = database.query('INSERT OR REPLACE INTO current (key, version) VALUES (?, ?)');
    this.#forget = database.query('DELETE FROM current WHERE key = ?');
    this.#read = database.query('SELECT version, key, value, previous, checksum FROM log WHERE version = ?');
    const meta = database.query<{ value: number }, [string]>('SELECT value FROM meta WHERE name = ?');
    this.#compacted = meta.get('compacted')?.value ?? 0;
    const newest = database.query<{ version: number | null }, []>('SELECT max(version) AS version FROM log').get();
    this.#version = Math.max(newest?.version ?? 0, this.#compacted);
  }

  get version(): number {
    return this.#version;
  }

  /**
   * One transaction, one fsync. Each operation succeeds or is refused by itself. When it throws, nothing was written;
   * on a full disk the creations and updates are refused as Full and the deletions go through on the ballast.
   */
  write(operations: readonly WriteOperation[], nowMs: number): WriteResult[] {
    const growing = operations.some((operation) => operation.verb !== 'delete');
    if (this.#ballast.released && growing) this.#ballast.restore(nowMs);
    if (this.#ballast.released) return this.#write(operations, true);
    try {
      return this.#write(operations, false);
    } catch (error) {
      if (!isFull(error)) throw error;
      this.#ballast.release();
      return this.#write(operations, true);
    }
  }

  #write(operations: readonly WriteOperation[], deletesOnly: boolean): WriteResult[] {
    const before = this.#version;
    this.#database.run('BEGIN IMMEDIATE');
    try {
      const results = operations.map((operation): WriteResult => {
        if (deletesOnly && operation.verb !== 'delete') return { refusal: 'Full' };
        return this.#apply(operation);
      });
      this.#database.run(this.#version === before ? 'ROLLBACK' : 'COMMIT');
      return results;
    } catch (error) {
      this.#version = before;
      if (this.#database.inTransaction) this.#database.run('ROLLBACK');
      throw this.#explain(error);
    }
  }

  #apply({ verb, key, value, expected }: WriteOperation): WriteResult {
    const present = this.#present.get(key)?.version;
    const refusal = refuse(verb, present, expected);
    if (refusal) return { refusal };
    const previousValue = present === undefined ? undefined : this.#rowAt(present, key).value;
    const row: Row = { version: ++this.#version, key, value, previous: present ?? 0, previousValue };
    this.#insert.run(row.version, key, value ?? null, row.previous, checksumOf(row));
    if (value) this.#point.run(key, row.version);
    else this.#forget.run(key);
    return { row };
  }

  get(key: string): Row | undefined {
    return this.#guard(() => {
      const present = this.#present.get(key)?.version;
      return present === undefined ? undefined : this.#rowAt(present, key);
    });
  }

  /** Rows in key order, at most `limit` + 1 of them so that the caller sees whether there are more. */
  list(prefix: string, after: string | undefined, limit: number | undefined, at = this.#version): Row[] {
    if (at > this.#version) throw tooNew(String(at), String(this.#version));
    if (at < this.#compacted) throw expired(String(at), String(this.#compacted));
    // What is current and was so at that version, and what the first later change of each key replaced.
    const past =
      at === this.#version
        ? ''
        : `UNION ALL SELECT key, previous AS version FROM log
             WHERE version > $at AND previous BETWEEN 1 AND $at AND key >= $from AND key > $after AND key < $end`;
    const query = this.#database.query<{ key: string; version: number }, Record<string, string | number>>(
      `SELECT key, version FROM current
         WHERE key >= $from AND key > $after AND key < $end AND version <= $at ${past} ORDER BY key LIMIT $limit`,
    );
    return this.#guard(() =>
      query
        .all({
          $from: prefix,
          $after: after ?? '',
          $end: prefixEnd(prefix),
          $at: at,
          $limit: limit === undefined ? -1 : limit + 1,
        })
        .map(({ key, version }) => this.#rowAt(version, key)),
    );
  }

  /** Changes after `since`, oldest first. At most `rowsMax` rows and about `bytesMax` bytes. */
  changes(prefix: string, since: number, rowsMax: number, bytesMax: number): { rows: Row[]; through: number } {
    if (since < this.#compacted) throw expired(String(since), String(this.#compacted));
    return this.#guard(() => {
      const query = this.#database.query<StoredRow, [number, string, string]>(
        'SELECT version, key, value, previous, checksum FROM log WHERE version > ? AND key >= ? AND key < ? ORDER BY version',
      );
      const rows: Row[] = [];
      let bytes = 0;
      for (const stored of query.iterate(since, prefix, prefixEnd(prefix))) {
        const row = this.#verify(stored);
        const previousValue = row.previous ? this.#rowAt(row.previous, row.key).value : undefined;
        bytes += (row.value?.byteLength ?? 0) + (previousValue?.byteLength ?? 0);
        rows.push({ ...row, previousValue });
        if (rows.length >= rowsMax || bytes >= bytesMax) return { rows, through: row.version };
      }
      return { rows, through: this.#version };
    });
  }

  /** Forgets what was replaced or deleted at or before this version. Its cost follows the changes since the last time. */
  compact(before: number): void {
    const bound = Math.min(before, this.#version);
    if (bound <= this.#compacted) return;
    this.#guard(() =>
      this.#database.transaction(() => {
        const range = [this.#compacted, bound] as const;
        const changed = 'version > ? AND version <= ?';
        this.#database
          .query(`DELETE FROM log WHERE version IN (SELECT previous FROM log WHERE ${changed} AND previous > 0)`)
          .run(...range);
        this.#database.query(`DELETE FROM log WHERE ${changed} AND value IS NULL`).run(...range);
        this.#database.query("INSERT OR REPLACE INTO meta (name, value) VALUES ('compacted', ?)").run(bound);
      })(),
    );
    this.#compacted = bound;
  }

  /** Takes the disk space that lets deletions work when the disk is full. */
  prepareBallast(): void {
    this.#ballast.restore(0);
  }

  /** For tests: SQLite answers a file at this limit as it answers a full disk. */
  limitPages(pages: number): void {
    this.#database.run(`PRAGMA max_page_count = ${pages}`);
  }

  close(): void {
    this.#database.close();
  }

  #rowAt(version: number, key: string): Row {
    const stored = this.#read.get(version);
    if (!stored || stored.key !== key) throw damaged(this.path, `the value of ${key} at version ${version} is missing`);
    return this.#verify(stored);
  }

  #verify(stored: StoredRow): Row {
    const row = { ...stored, value: stored.value ?? undefined };
    if (checksumOf(row) !== stored.checksum)
      throw damaged(this.path, `the checksum of ${stored.key} at version ${stored.version} does not match`);
    return row;
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #explain(error: unknown): unknown {
    if (!(error instanceof SQLiteError)) return error;
    if (damagedCodes.some((code) => error.code?.startsWith(code))) return damaged(this.path, error.message);
    if (isFull(error)) return error;
    return errors.unavailable(
      `the store cannot use ${this.path} now (${error.code}: ${error.message}); whether a write in this moment is kept is not known`,
    );
  }
}

interface StoredRow {
  readonly version: number;
  readonly key: string;
  readonly value: Uint8Array | null;
  readonly previous: number;
  readonly checksum: number;
}

// SQLite gives back a flipped bit without a word, so each row carries a CRC over everything it says.
const checksumOf = (row: Pick<Row, 'version' | 'key' | 'previous' | 'value'>): number => {
  const head = Bun.hash.crc32(`${row.version} ${row.previous} ${row.value ? 'put' : 'delete'} ${row.key}`);
  return row.value ? Bun.hash.crc32(row.value, head) : head;
};

const isFull = (error: unknown): boolean =>
  error instanceof SQLiteError && (error.code === 'SQLITE_FULL' || /disk is full|ENOSPC/.test(error.message));

const damaged = (path: string, what: string): PintleError =>
  new PintleError(
    'STORE_DAMAGED',
    `The store ${path} is damaged: ${what}.`,
    'Nothing was changed or deleted. Copy the file with its -wal file away, then restore the newest snapshot with `pintle snapshot restore FILE`.',
  );

function openFile(path: string): Database {
  let database: Database | undefined;
  try {
    database = new Database(path, { create: true, readwrite: true, strict: false });
    // EXCLUSIVE before WAL: the lock is held for the life of the process and the index of the WAL stays in memory.
    database.run('PRAGMA locking_mode = EXCLUSIVE');
    database.run('PRAGMA page_size = 8192'); // three 2 KB values share a page
    database.run('PRAGMA journal_mode = WAL');
    database.run('PRAGMA synchronous = FULL');
    database.run('PRAGMA cache_size = -4096'); // KiB
    database.run(`PRAGMA journal_size_limit = ${64 * 1024 * 1024}`); // bytes
    database.run('BEGIN IMMEDIATE');
    createTables(database, path);
    database.run('COMMIT');
    const check = database.query<{ quick_check: string }, []>('PRAGMA quick_check(1)').get();
    if (check?.quick_check !== 'ok') throw damaged(path, check?.quick_check ?? 'the check gave no answer');
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof PintleError) throw error;
    const code = error instanceof SQLiteError ? (error.code ?? '') : '';
    if (code.startsWith('SQLITE_BUSY'))
      throw new PintleError(
        'STORE_LOCKED',
        `Another process has the store ${path} open.`,
        'Stop it first: `pintle down --home DIR` with the same home, then start again.',
      );
    if (damagedCodes.some((damage) => code.startsWith(damage))) throw damaged(path, messageOf(error));
    throw new PintleError(
      'STORE_OPEN',
      `The store ${path} cannot be opened: ${messageOf(error)}.`,
      'Check that its folder exists, belongs to this user and has free space.',
      { cause: error },
    );
  }
}

function createTables(database: Database, path: string): void {
  const found = database.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version ?? 0;
  if (found !== 0 && found !== format)
    throw new PintleError(
      'STORE_FORMAT',
      `The store ${path} has format ${found}; this program reads format ${format}.`,
      'Start the version of pintle that wrote it, or restore a snapshot.',
    );
  database.run(`CREATE TABLE IF NOT EXISTS log (
    version INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, previous INTEGER NOT NULL, checksum INTEGER NOT NULL)`);
  database.run('CREATE TABLE IF NOT EXISTS current (key TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID');
  database.run('CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID');
  database.run(`PRAGMA user_version = ${format}`);
}
