import { Database } from 'bun:sqlite';
import { describe, expect, test } from 'bun:test';
import { mkdtemp, open as openFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PintleError, silentLog, systemClock } from '#base';
import { ballastBytes } from '../../core/store/ballast.ts';
import { openSqliteStore } from '../../core/store/sqlite.ts';
import { SqliteDatabase } from '../../core/store/sqlite-database.ts';
import { storeContract } from './store.ts';

storeContract('sqlite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pintle-store-'));
  const open = () => openSqliteStore({ path: join(folder, 'state.db'), clock: systemClock, log: silentLog });
  let store = await open();
  return {
    store,
    async reopen() {
      await store[Symbol.asyncDispose]();
      store = await open();
      return store;
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
});

/** A folder of its own with the path of a database in it. */
async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'pintle-store-'));
  try {
    await work(join(folder, 'state.db'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
const openAt = (path: string) => openSqliteStore({ path, clock: systemClock, log: silentLog });
const encode = (text: string) => new TextEncoder().encode(text);
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error) => (error instanceof PintleError ? error.code : String(error)),
  );

/** Flips one bit of the byte at the first place `text` is found. */
async function flipBitOf(path: string, text: string): Promise<void> {
  const at = Buffer.from(await Bun.file(path).arrayBuffer()).indexOf(text);
  expect(at).toBeGreaterThan(0);
  await using file = await openFile(path, 'r+');
  await file.write(Uint8Array.of(text.charCodeAt(0) ^ 4), 0, 1, at);
}

describe('sqlite: faults', () => {
  test('a second opening of the same file is refused', () =>
    inFolder(async (path) => {
      await using store = await openAt(path);
      await store.create('/a', encode('a'));
      expect(await codeOf(openAt(path))).toBe('STORE_LOCKED');
      await store.create('/b', encode('b')); // and the first one goes on
    }));

  test('a flipped bit in a value is an error, never another value', () =>
    inFolder(async (path) => {
      const text = 'a value that stands out';
      {
        await using store = await openAt(path);
        await store.create('/damaged', encode(text));
        await store.create('/whole', encode('whole'));
      }
      await flipBitOf(path, text);
      await using store = await openAt(path);
      expect(await codeOf(store.get('/damaged'))).toBe('STORE_DAMAGED');
      expect(await codeOf(store.list('/'))).toBe('STORE_DAMAGED');
      expect((await store.get('/whole'))?.value).toEqual(encode('whole'));
    }));

  test('a file that is no database is refused and left as it is', () =>
    inFolder(async (path) => {
      await Bun.write(path, 'not a database, but somebody may want it back'.repeat(400));
      const before = await Bun.file(path).text();
      expect(await codeOf(openAt(path))).toBe('STORE_DAMAGED');
      expect(await Bun.file(path).text()).toBe(before);
    }));

  test('a folder that does not exist is named', () =>
    inFolder(async (path) => expect(await codeOf(openAt(join(path, 'missing', 'state.db')))).toBe('STORE_OPEN')));

  test('a full disk refuses growth, lets deletions through, and recovers', () =>
    inFolder(async (path) => {
      const database = new SqliteDatabase(path);
      database.prepareBallast();
      expect((await stat(`${path}.ballast`)).size).toBe(ballastBytes);
      const value = new Uint8Array(100_000);
      const create = (key: string) => database.write([{ verb: 'create', key, value, expected: undefined }], nowMs)[0]!;
      let nowMs = 0;
      expect(create('/1')).toHaveProperty('row');
      database.limitPages(32); // what SQLite answers then is what it answers on a full disk
      let count = 1;
      while ('row' in create(`/${count + 1}`)) count++;
      expect(database.get(`/${count + 1}`)).toBeUndefined();
      expect(await stat(`${path}.ballast`).catch(() => undefined)).toBeUndefined();
      expect(database.get('/1')?.value).toHaveLength(value.length);
      database.limitPages(1_000_000);
      const remove = database.write([{ verb: 'delete', key: '/1', value: undefined, expected: undefined }], nowMs);
      expect(remove[0]).toHaveProperty('row');
      nowMs = 2000;
      expect(create('/later')).toHaveProperty('row');
      expect((await stat(`${path}.ballast`)).size).toBe(ballastBytes);
      database.close();
    }));
});

test('the file is an ordinary SQLite database', () =>
  inFolder(async (path) => {
    {
      await using store = await openAt(path);
      await store.create('/a', encode('a'));
    }
    const database = new Database(path, { readonly: true });
    expect(database.query('SELECT key, version FROM current').all()).toEqual([{ key: '/a', version: 1 }]);
    database.close();
  }));
