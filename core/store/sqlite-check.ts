import type { Database } from 'bun:sqlite';
import { existsSync, rmSync } from 'node:fs';
import { messageOf, PintleError } from '#base';
import { checkWal, explainOpen, metaOf, newestVersion, openReadOnly } from './sqlite-file.ts';
import { checksumOf, type StoredRow } from './sqlite-row.ts';
import { Witness } from './witness.ts';

export interface StoreCheck {
  readonly entries: number;
  readonly rows: number;
  /** Sentences; at most 20. */
  readonly problems: readonly string[];
}
const problemsMax = 20;

/**
 * Reads everything: pages, every row's checksum, that versions have no hole, that each current entry has its value, and that
 * nothing acknowledged is missing. About 200 MB/s; changes nothing. Undefined: there is no such file. Throws PintleError
 * STORE_LOCKED while a server has it open, STORE_OPEN when it cannot be read.
 */
export function checkSqliteFile(path: string): StoreCheck | undefined {
  if (!existsSync(path)) return undefined;
  const problems: string[] = [];
  const note = (problem: string) => problems.length < problemsMax && problems.push(problem);
  const database = openReadOnly(path);
  try {
    database.query('SELECT 1 FROM sqlite_schema').get(); // refused while another process has the file
    checkWal(path);
    for (const row of database.query<Record<string, string>, []>(`PRAGMA integrity_check(${problemsMax})`).all())
      if (row['integrity_check'] !== 'ok') note(`integrity_check: ${row['integrity_check']}`);
    const acknowledged = new Witness(`${path}.witness`).read();
    const newest = newestVersion(database);
    if (newest < acknowledged) note(`writes up to version ${acknowledged} were acknowledged and it ends at ${newest}`);
    const rows = checkRows(database, note);
    return { entries: checkCurrent(database, note), rows, problems };
  } catch (error) {
    const explained = explainOpen(path, error);
    if (!(explained instanceof PintleError) || explained.code !== 'STORE_DAMAGED') throw explained;
    note(messageOf(explained));
    return { entries: 0, rows: 0, problems };
  } finally {
    database.close();
    rmSync(`${path}-shm`, { force: true });
  }
}

type Note = (problem: string) => void;

function checkRows(database: Database, note: Note): number {
  const compacted = metaOf(database, 'compacted');
  let rows = 0;
  let before = compacted;
  const all = database.query<StoredRow, []>('SELECT version, key, value, previous, checksum FROM log ORDER BY version');
  for (const row of all.iterate()) {
    rows++;
    if (checksumOf(row) !== row.checksum) note(`the checksum of ${row.key} at version ${row.version} does not match`);
    if (row.version <= compacted) continue;
    if (row.version !== before + 1) note(`versions ${before + 1} to ${row.version - 1} are missing`);
    before = row.version;
  }
  return rows;
}

function checkCurrent(database: Database, note: Note): number {
  const lost = database.query<{ key: string; version: number }, []>(
    `SELECT current.key, current.version FROM current LEFT JOIN log ON log.version = current.version
       WHERE log.key IS NOT current.key OR log.value IS NULL LIMIT ${problemsMax}`,
  );
  for (const { key, version } of lost.all()) note(`the value of ${key} at version ${version} is missing`);
  return database.query<{ count: number }, []>('SELECT count(*) AS count FROM current').get()?.count ?? 0;
}
