import { type Database, SQLiteError, type Statement } from 'bun:sqlite';
import { assert } from '#base';
import { errors } from '../api/status.ts';
import { Ballast } from './ballast.ts';
import { compareKeys, prefixEnd } from './key.ts';
import { expired, type Refusal, refuse, tooNew } from './refusal.ts';
import { damaged, isDamage, metaOf, newestVersion, openFile } from './sqlite-file.ts';
import { checksumOf, type Row, type StoredRow } from './sqlite-row.ts';
import { nextEpoch } from './version.ts';
import { Witness } from './witness.ts';

export interface WriteOperation {
  readonly verb: 'create' | 'update' | 'delete';
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly expected: number | undefined;
}
export type WriteResult = { readonly row: Row } | { readonly refusal: Refusal | 'Full' };

const compactRowsMax = 2000; // in one transaction: about 10 ms

/**
 * The tables, synchronously; runs inside the worker. `log` holds every version of every value once; `current` says which
 * version of a key is the newest. A value is current, or kept because a watch or a list at a version may still ask for it.
 */
export class SqliteDatabase {
  readonly #database: Database;
  readonly #ballast: Ballast;
  readonly #witness: Witness;
  readonly #present: Statement<{ version: number }, [string]>;
  readonly #insert: Statement<void, [number, string, Uint8Array | null, number, number]>;
  readonly #begin: Statement<void, []>;
  readonly #commit: Statement<void, []>;
  readonly #add: Statement<void, [string, number]>;
  readonly #move: Statement<void, [number, string, number]>;
  readonly #forget: Statement<void, [string, number]>;
  readonly #read: Statement<StoredRow, [number]>;
  #version: number;
  #compacted: number;

  constructor(readonly path: string) {
    this.#witness = new Witness(`${path}.witness`);
    this.#database = openFile(path, this.#witness);
    this.#ballast = new Ballast(`${path}.ballast`);
    const database = this.#database;
    this.#begin = database.query('BEGIN IMMEDIATE');
    this.#commit = database.query('COMMIT');
    this.#present = database.query('SELECT version FROM current WHERE key = ?');
    this.#insert = database.query('INSERT INTO log (version, key, value, previous, checksum) VALUES (?, ?, ?, ?, ?)');
    this.#add = database.query('INSERT INTO current (key, version) VALUES (?, ?) ON CONFLICT DO NOTHING');
    this.#move = database.query('UPDATE current SET version = ? WHERE key = ? AND version = ?');
    this.#forget = database.query('DELETE FROM current WHERE key = ? AND version = ?');
    this.#read = database.query('SELECT version, key, value, previous, checksum FROM log WHERE version = ?');
    this.#compacted = metaOf(database, 'compacted');
    this.#version = newestVersion(database);
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
    this.#begin.run();
    try {
      const results = operations.map((operation): WriteResult => {
        if (deletesOnly && operation.verb !== 'delete') return { refusal: 'Full' };
        return this.#apply(operation);
      });
      this.#commit.run();
      if (this.#version !== before) this.#witness.write(this.#version);
      return results;
    } catch (error) {
      this.#version = before;
      if (this.#database.inTransaction) this.#database.run('ROLLBACK');
      throw this.#explain(error);
    }
  }

  /** Tries the change at once and asks what is there only where it did not take: one statement less for each write. */
  #apply({ verb, key, value, expected }: WriteOperation): WriteResult {
    const version = this.#version + 1;
    const present = verb === 'create' ? 0 : (expected ?? this.#present.get(key)?.version ?? 0);
    if (this.#turn(verb, key, version, present) === 0) {
      const refusal = refuse(verb, this.#present.get(key)?.version, expected);
      assert(refusal, 'a write that would not be refused did not take');
      return { refusal };
    }
    this.#version = version;
    const previousValue = present === 0 ? undefined : this.#rowAt(present, key).value;
    const row: Row = { version, key, value, previous: present, previousValue };
    this.#insert.run(version, key, value ?? null, present, checksumOf(row));
    return { row };
  }

  /** Rows changed: 0 or 1. */
  #turn(verb: WriteOperation['verb'], key: string, version: number, present: number): number {
    if (verb === 'create') return this.#add.run(key, version).changes;
    return (verb === 'update' ? this.#move.run(version, key, present) : this.#forget.run(key, present)).changes;
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
    // One bound: with two, SQLite seeks to the first and walks to the other, and pages would cost more and more.
    const behind = after !== undefined && compareKeys(after, prefix) >= 0;
    const from = behind ? after : prefix;
    const below = behind ? 'key > $from' : 'key >= $from';
    // What is current and was so at that version, and what the first later change of each key replaced.
    const past =
      at === this.#version
        ? ''
        : `UNION ALL SELECT key, previous AS version FROM log
             WHERE version > $at AND previous BETWEEN 1 AND $at AND ${below} AND key < $end`;
    const query = this.#database.query<{ key: string; version: number }, Record<string, string | number>>(
      `SELECT key, version FROM current
         WHERE ${below} AND key < $end AND version <= $at ${past} ORDER BY key LIMIT $limit`,
    );
    return this.#guard(() =>
      query
        .all({
          $from: from,
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

  /**
   * Forgets what was replaced or deleted at or before this version, a part at a time so that writes need not wait for the whole.
   * Returns whether there is more to forget. Its cost follows the changes since the last time.
   */
  compact(before: number): boolean {
    const wanted = Math.min(before, this.#version);
    if (wanted <= this.#compacted) return false;
    const part = 'SELECT version FROM log WHERE version > ? ORDER BY version LIMIT 1 OFFSET ?';
    const next = this.#database.query<{ version: number }, [number, number]>(part).get(this.#compacted, compactRowsMax);
    const bound = Math.min(wanted, next?.version ?? wanted);
    this.#guard(() => this.#forgetThrough(bound));
    this.#compacted = bound;
    return bound < wanted;
  }

  #forgetThrough(bound: number): void {
    const range = [this.#compacted, bound] as const;
    const changed = 'version > ? AND version <= ?';
    this.#database.transaction(() => {
      this.#database
        .query(`DELETE FROM log WHERE version IN (SELECT previous FROM log WHERE ${changed} AND previous > 0)`)
        .run(...range);
      this.#database.query(`DELETE FROM log WHERE ${changed} AND value IS NULL`).run(...range);
      this.#keepCompacted(bound);
    })();
  }

  /** Only the current entries stay, and the next write has a version of a new epoch. */
  newEpoch(above: number): void {
    const first = nextEpoch(this.#version, above);
    this.#guard(() =>
      this.#database.transaction(() => {
        this.#database.run('DELETE FROM log WHERE version NOT IN (SELECT version FROM current)');
        this.#keepCompacted(first);
      })(),
    );
    this.#version = first;
    this.#compacted = first;
    this.#witness.write(first);
  }

  #keepCompacted(version: number): void {
    this.#database.query("INSERT OR REPLACE INTO meta (name, value) VALUES ('compacted', ?)").run(version);
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
    this.#witness.close();
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
    if (isDamage(error)) return damaged(this.path, error.message);
    if (isFull(error)) return error;
    return errors.unavailable(
      `the store cannot use ${this.path} now (${error.code}: ${error.message}); whether a write in this moment is kept is not known`,
    );
  }
}

const isFull = (error: unknown): boolean =>
  error instanceof SQLiteError && (error.code === 'SQLITE_FULL' || /disk is full|ENOSPC/.test(error.message));
