import { Database } from 'bun:sqlite';
import { expect, test } from 'bun:test';
import { copyFile, mkdtemp, open, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PintleError } from '#base';
import { checkSqliteFile } from './sqlite-check.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { scanWalFile } from './sqlite-wal.ts';
import { Witness } from './witness.ts';

const frameBytes = 24 + 8192;
const encode = (text: string) => new TextEncoder().encode(text);
const create = (key: string, value = 'x') => ({
  verb: 'create' as const,
  key,
  value: encode(value),
  expected: undefined,
});

/** What lies on the disk after a kill: `commits` transactions in the log of writes, nothing moved into the file. */
async function crashed(commits: number, work: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'pintle-store-'));
  try {
    const path = join(folder, 'live.db');
    const database = new SqliteDatabase(path);
    for (let index = 1; index <= commits; index++) database.write([create(`/k${index}`, 'v'.repeat(3000))], 0);
    const copy = join(folder, 'copy.db');
    for (const suffix of ['', '-wal', '.witness']) await copyFile(path + suffix, copy + suffix);
    database.close();
    await work(copy);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
const flip = async (path: string, at: number): Promise<void> => {
  await using file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Uint8Array.of(buffer[0]! ^ 16), 0, 1, at);
};
const bytesOf = async (path: string): Promise<string> => {
  const hash = new Bun.CryptoHasher('sha256');
  for (const suffix of ['', '-wal', '.witness']) hash.update(await Bun.file(path + suffix).arrayBuffer());
  return hash.digest('hex');
};
/** The damage that an opening names; every byte of every file stays. */
async function damageOf(path: string): Promise<string> {
  const before = await bytesOf(path);
  try {
    new SqliteDatabase(path).close();
    return 'none';
  } catch (error) {
    expect(error).toBeInstanceOf(PintleError);
    expect((error as PintleError).code).toBe('STORE_DAMAGED');
    expect(await bytesOf(path)).toBe(before);
    return (error as PintleError).message;
  }
}

test('after a kill the log is sound and everything is there', () =>
  crashed(20, async (path) => {
    expect(scanWalFile(`${path}-wal`)).toMatchObject({ damaged: false });
    const database = new SqliteDatabase(path);
    expect(database.version).toBe(20);
    expect(database.list('/', undefined, undefined)).toHaveLength(20);
    database.close();
  }));

for (const part of [0.1, 0.5, 0.8])
  test(`a flipped bit at ${part} of the log is noticed, and nothing is touched`, () =>
    crashed(20, async (path) => {
      const frames = Math.floor(Bun.file(`${path}-wal`).size / frameBytes);
      await flip(`${path}-wal`, 32 + Math.floor(frames * part) * frameBytes + 500);
      expect(await damageOf(path)).toContain('-wal file is broken');
    }));

test('a flipped bit in the head of a frame and in the head of the log is noticed', () =>
  crashed(20, async (path) => {
    await flip(`${path}-wal`, 32 + 10 * frameBytes + 9); // the salt
    expect(await damageOf(path)).toContain('-wal file is broken');
    await flip(`${path}-wal`, 32 + 10 * frameBytes + 9);
    await flip(`${path}-wal`, 18);
    expect(await damageOf(path)).toContain('-wal file is broken');
  }));

test('a log that was cut, emptied or lost is noticed by the witness', () =>
  crashed(20, async (path) => {
    const size = Bun.file(`${path}-wal`).size;
    await truncate(`${path}-wal`, size - 2 * frameBytes);
    expect(await damageOf(path)).toMatch(/acknowledged and it ends at 1\d/);
    await truncate(`${path}-wal`, 0);
    expect(await damageOf(path)).toContain('version 20 were acknowledged');
    await rm(`${path}-wal`);
    await Bun.write(`${path}-wal`, '');
    expect(await damageOf(path)).toContain('version 20 were acknowledged');
  }));

test('a torn last transaction that nobody was told of is no damage', () =>
  crashed(20, async (path) => {
    const before = new Witness(`${path}.witness`);
    before.write(19); // the kill came between the writing and the acknowledgement of version 20
    before.close();
    const size = Bun.file(`${path}-wal`).size;
    await flip(`${path}-wal`, size - 100);
    const database = new SqliteDatabase(path);
    expect(database.version).toBe(19);
    database.close();
  }));

test('a file that is gone beside its log is not replaced by an empty one', () =>
  crashed(5, async (path) => {
    await truncate(path, 0);
    expect(await damageOf(path)).toContain('missing or empty');
    expect(Bun.file(`${path}-wal`).size).toBeGreaterThan(0);
  }));

test('a missing or broken witness proves nothing', () =>
  crashed(5, async (path) => {
    for (const text of ['', 'acknowledged 0000000000000099 00000000\n', 'x'.repeat(39)]) {
      await Bun.write(`${path}.witness`, text);
      expect(new Witness(`${path}.witness`).read()).toBe(0);
    }
    await rm(`${path}.witness`);
    const database = new SqliteDatabase(path);
    expect(database.version).toBe(5);
    expect(new Witness(`${path}.witness`).read()).toBe(0);
    database.write([create('/next')], 0);
    expect(new Witness(`${path}.witness`).read()).toBe(6);
    database.close();
    const left = await readdir(join(path, '..'));
    expect(left.filter((name) => name.startsWith('copy')).sort()).toEqual(['copy.db', 'copy.db.witness']);
  }));

test('the whole check: a sound store, one that is in use, and each kind of damage', () =>
  crashed(20, async (path) => {
    expect(checkSqliteFile(`${path}-nowhere`)).toBeUndefined();
    expect(checkSqliteFile(path)).toEqual({ entries: 20, rows: 20, problems: [] });
    const database = new SqliteDatabase(path);
    expect(() => checkSqliteFile(path)).toThrow('Another process has the store');
    database.close(); // moves the log into the file
    const damage = (sql: string) => {
      const raw = new Database(path);
      raw.run(sql);
      raw.close();
    };
    damage("UPDATE log SET value = 'other' WHERE version = 3");
    damage('DELETE FROM log WHERE version = 7');
    const witness = new Witness(`${path}.witness`);
    witness.write(25);
    witness.close();
    expect(checkSqliteFile(path)?.problems).toEqual([
      'writes up to version 25 were acknowledged and it ends at 20',
      'the checksum of /k3 at version 3 does not match',
      'versions 7 to 7 are missing',
      'the value of /k7 at version 7 is missing',
    ]);
    await Bun.write(path, 'x'.repeat(10_000));
    expect(checkSqliteFile(path)?.problems[0]).toContain('is damaged');
  }));
