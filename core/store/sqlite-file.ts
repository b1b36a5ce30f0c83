import { Database, SQLiteError } from 'bun:sqlite';
import { rmSync, statSync } from 'node:fs';
import { messageOf, PintleError } from '#base';
import { scanWalFile } from './sqlite-wal.ts';
import type { Witness } from './witness.ts';

const format = 1; // PRAGMA user_version; raised when the tables change
const damagedCodes = ['SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_FORMAT'];
/** quick_check reads every page, about 1 GB/s from the page cache; above this only the small tables are checked at the start. */
const wholeCheckBytesMax = 64 * 1024 * 1024;
const newestRowsChecked = 1000;

export const walOf = (path: string): string => `${path}-wal`;
const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

export const damaged = (path: string, what: string): PintleError =>
  new PintleError(
    'STORE_DAMAGED',
    `The store ${path} is damaged: ${what}.`,
    'Nothing was changed or deleted. Stop the cluster, copy the folder of this file away, and put a backup of that folder in its place.',
  );

export const isDamage = (error: unknown): boolean =>
  error instanceof SQLiteError && damagedCodes.some((code) => error.code?.startsWith(code));

/** Checks what is there without changing a byte of it, then opens it. Throws PintleError STORE_LOCKED, _DAMAGED, _FORMAT or _OPEN. */
export function openFile(path: string, witness: Witness): Database {
  let database: Database | undefined;
  try {
    inspect(path, witness);
    database = new Database(path, { create: true, readwrite: true, strict: false });
    // EXCLUSIVE before WAL: the lock is held for the life of the process and the index of the WAL stays in memory.
    database.run('PRAGMA locking_mode = EXCLUSIVE');
    database.run('PRAGMA page_size = 8192'); // three 2 KB values share a page
    database.run('PRAGMA journal_mode = WAL');
    database.run('PRAGMA synchronous = FULL');
    database.run('PRAGMA cache_size = -4096'); // KiB
    database.run(`PRAGMA journal_size_limit = ${64 * 1024 * 1024}`); // bytes
    database.run('BEGIN IMMEDIATE');
    createTables(database);
    database.run('COMMIT');
    rmSync(`${path}-shm`, { force: true }); // of the inspection; with the lock held, nobody uses it
    return database;
  } catch (error) {
    database?.close();
    throw explainOpen(path, error);
  }
}

/**
 * A connection that cannot write also leaves the log alone when it closes; one that can would move the sound part of a damaged
 * log into the file and delete the rest.
 */
export function openReadOnly(path: string): Database {
  try {
    return new Database(path, { readonly: true });
  } catch (error) {
    throw explainOpen(path, error);
  }
}

function inspect(path: string, witness: Witness): void {
  const acknowledged = witness.read();
  if (sizeOf(path) === 0) {
    if (sizeOf(walOf(path)) > 0) throw damaged(path, 'the file is missing or empty, and its -wal file is not');
    if (acknowledged > 0) throw lost(path, acknowledged, 0);
    return;
  }
  checkWal(path);
  const database = openReadOnly(path);
  try {
    checkFormat(database, path);
    const newest = newestVersion(database);
    if (newest < acknowledged) throw lost(path, acknowledged, newest);
    checkPages(database, path);
    checkNewestRows(database, path);
  } finally {
    database.close();
  }
}

export function checkWal(path: string): void {
  const wal = scanWalFile(walOf(path));
  if (wal?.damaged)
    throw damaged(
      path,
      `its -wal file is broken behind frame ${wal.soundFrames}, and acknowledged writes lie behind that`,
    );
}

const lost = (path: string, acknowledged: number, newest: number): PintleError =>
  damaged(path, `writes up to version ${acknowledged} were acknowledged and it ends at ${newest}`);

/** 0 for a file without tables. */
export function newestVersion(database: Database): number {
  if (!hasTables(database)) return 0;
  const newest = database.query<{ version: number | null }, []>('SELECT max(version) AS version FROM log').get();
  return Math.max(newest?.version ?? 0, metaOf(database, 'compacted'));
}

export const metaOf = (database: Database, name: string): number =>
  database.query<{ value: number }, [string]>('SELECT value FROM meta WHERE name = ?').get(name)?.value ?? 0;

const hasTables = (database: Database): boolean =>
  database.query("SELECT 1 FROM sqlite_schema WHERE name = 'log'").get() !== null;

function checkFormat(database: Database, path: string): void {
  const found = database.query<{ user_version: number }, []>('PRAGMA user_version').get()?.user_version ?? 0;
  if (found !== 0 && found !== format)
    throw new PintleError(
      'STORE_FORMAT',
      `The store ${path} has format ${found}; this program reads format ${format}.`,
      'Start the version of pintle that wrote it, or put a backup of its folder in place.',
    );
}

function checkPages(database: Database, path: string): void {
  if (!hasTables(database)) return;
  const checks = sizeOf(path) <= wholeCheckBytesMax ? ['(1)'] : ["('current')", "('meta')"];
  for (const check of checks) {
    const found = database.query<{ quick_check: string }, []>(`PRAGMA quick_check${check}`).get();
    if (found?.quick_check !== 'ok') throw damaged(path, found?.quick_check ?? 'the check gave no answer');
  }
}

/** Versions above the compacted one follow each other without a hole. */
function checkNewestRows(database: Database, path: string): void {
  if (!hasTables(database)) return;
  const rows = database
    .query<{ version: number }, [number, number]>(
      'SELECT version FROM log WHERE version > ? ORDER BY version DESC LIMIT ?',
    )
    .all(metaOf(database, 'compacted'), newestRowsChecked);
  const hole = rows.findIndex(({ version }, index) => version !== rows[0]!.version - index);
  if (hole >= 0) throw damaged(path, `version ${rows[0]!.version - hole} is missing between its neighbours`);
}

function createTables(database: Database): void {
  database.run(`CREATE TABLE IF NOT EXISTS log (
    version INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, previous INTEGER NOT NULL, checksum INTEGER NOT NULL)`);
  database.run('CREATE TABLE IF NOT EXISTS current (key TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID');
  database.run('CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID');
  database.run(`PRAGMA user_version = ${format}`);
}

export function explainOpen(path: string, error: unknown): unknown {
  if (error instanceof PintleError) return error;
  const code = error instanceof SQLiteError ? (error.code ?? '') : '';
  if (code.startsWith('SQLITE_BUSY'))
    return new PintleError(
      'STORE_LOCKED',
      `Another process has the store ${path} open.`,
      'Stop it first: `pintle down --home DIR` with the same home, then start again.',
    );
  if (isDamage(error)) return damaged(path, messageOf(error));
  return new PintleError(
    'STORE_OPEN',
    `The store ${path} cannot be opened: ${messageOf(error)}.`,
    'Check that its folder exists, belongs to this user and has free space.',
    { cause: error },
  );
}
