import { Database } from 'bun:sqlite';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import type { ResourceVersion } from '#api';
import { silentLog, systemClock } from '#base';
import { openEtcdStore } from '../../core/store/etcd.ts';
import { openSqliteStore } from '../../core/store/sqlite.ts';
import type { Store } from '../../core/store/store.ts';
import { etcdPath, startEtcd } from '../fixtures/etcd.ts';

/** One figure. `judge` says whether the ratio or the value is held against `target`; a row without a goal has neither. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  readonly ratio?: number;
  readonly judge?: 'ratio' | 'value';
  readonly target?: string;
  readonly ok?: boolean;
}

const pairs = 10;
const value = crypto.getRandomValues(new Uint8Array(2048));
const writers = 64;

/** Figures `store`. Takes about 15 s. */
export async function* run(): AsyncIterable<Row> {
  const folder = await mkdtemp(join(tmpdir(), 'pintle-bench-store-'));
  try {
    yield* sqliteRows(folder);
    yield await replayRow(folder);
    if (etcdPath) yield await etcdRow();
    else console.error('skip: store.etcd.txn (there is no etcd on PATH)');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function* sqliteRows(folder: string): AsyncIterable<Row> {
  await using store = await openSqliteStore({ path: join(folder, 'store.db'), clock: systemClock, log: silentLog });
  const raw = rawDatabase(join(folder, 'raw.db'));
  for (const [name, group, rounds] of [
    ['store.sqlite.put.group64', writers, 12],
    ['store.sqlite.put.sequential', 1, 200],
  ] as const) {
    const count = group * rounds;
    const ours = async () => count / (await secondsOf(() => putAll(store, group, rounds)));
    const theirs = async () => count / (await secondsOf(async () => raw.putAll(group, rounds)));
    yield compare(name, 'puts/s', await interleave(ours, theirs), 0.7);
  }
  raw.close();
}

/** Group commit as it happens: each writer sends its next write when the last one was acknowledged. */
async function putAll(store: Store, group: number, rounds: number): Promise<void> {
  const writer = async (index: number) => {
    for (let round = 0; round < rounds; round++) await store.create(`/bench/${serial++}/${index}`, value);
  };
  await Promise.all(Array.from({ length: group }, (_, index) => writer(index)));
}
let serial = 0;

/** The same durability (WAL, FULL), the same grouping, a log and a current table; nothing else. */
function rawDatabase(path: string) {
  const database = new Database(path, { create: true });
  for (const pragma of ['locking_mode = EXCLUSIVE', 'page_size = 8192', 'journal_mode = WAL', 'synchronous = FULL'])
    database.run(`PRAGMA ${pragma}`);
  database.run('CREATE TABLE log (version INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, previous INTEGER)');
  database.run('CREATE TABLE current (key TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID');
  const get = database.query<{ version: number }, [string]>('SELECT version FROM current WHERE key = ?');
  const insert = database.query<void, [string, Uint8Array]>('INSERT INTO log (key, value, previous) VALUES (?, ?, 0)');
  const point = database.query<void, [string, number]>('INSERT OR REPLACE INTO current VALUES (?, ?)');
  return {
    putAll(group: number, rounds: number) {
      for (let round = 0; round < rounds; round++)
        database.transaction(() => {
          for (let index = 0; index < group; index++) {
            const key = `/bench/${serial++}/${index}`;
            get.get(key);
            point.run(key, Number(insert.run(key, value).lastInsertRowid));
          }
        })();
    },
    close: () => database.close(),
  };
}

async function replayRow(folder: string): Promise<Row> {
  const total = 100_000;
  await using store = await openSqliteStore({ path: join(folder, 'replay.db'), clock: systemClock, log: silentLog });
  const small = value.subarray(0, 256);
  for (let from = 0; from < total; from += 5000)
    await Promise.all(Array.from({ length: 5000 }, (_, index) => store.create(`/replay/${from + index}`, small)));
  const seconds = await secondsOf(async () => {
    const controller = new AbortController();
    let seen = 0;
    for await (const event of store.watch('/replay/', '0' as ResourceVersion, controller.signal))
      if (event.type === 'put' && ++seen === total) break;
    controller.abort();
  });
  return { name: 'store.sqlite.watch-replay-100k', value: Math.round(total / seconds), unit: 'events/s' };
}

async function etcdRow(): Promise<Row> {
  await using server = await startEtcd();
  await using store = await openEtcdStore({
    endpoints: [server.endpoint],
    plaintext: true,
    clock: systemClock,
    log: silentLog,
  });
  const bare = new Etcd3({ hosts: server.endpoint });
  const rounds = 6;
  const bareWriter = async (index: number) => {
    for (let round = 0; round < rounds; round++) {
      const key = `/bare/${serial++}/${index}`;
      await bare
        .if(key, 'Create', '==', 0)
        .then(bare.put(key).value(Buffer.from(value)))
        .commit();
    }
  };
  const count = writers * rounds;
  const ours = async () => count / (await secondsOf(() => putAll(store, writers, rounds)));
  const theirs = async () =>
    count / (await secondsOf(() => Promise.all(Array.from({ length: writers }, (_, index) => bareWriter(index)))));
  const row = compare('store.etcd.txn', 'txns/s', await interleave(ours, theirs), 0.85);
  bare.close();
  return row;
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = systemClock.monotonicMs();
  await work();
  return (systemClock.monotonicMs() - start) / 1000;
}

/** Pairs in turn, first one and then the other in front, after one that is not counted. */
async function interleave(ours: () => Promise<number>, theirs: () => Promise<number>): Promise<[number, number][]> {
  const found: [number, number][] = [];
  for (let pair = -1; pair < pairs; pair++) {
    const swap = pair % 2 === 0;
    const first = await (swap ? theirs() : ours());
    const second = await (swap ? ours() : theirs());
    if (pair >= 0) found.push(swap ? [second, first] : [first, second]);
  }
  return found;
}

const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

function compare(name: string, unit: string, found: readonly [number, number][], least: number): Row {
  const ratio = Math.round(median(found.map(([ours, theirs]) => ours / theirs)) * 1000) / 1000;
  return {
    name,
    value: Math.round(median(found.map(([ours]) => ours))),
    unit,
    baseline: Math.round(median(found.map(([, theirs]) => theirs))),
    ratio,
    judge: 'ratio',
    target: `>= ${least}`,
    ok: ratio >= least,
  };
}

if (import.meta.main) {
  for await (const row of run()) console.log(JSON.stringify(row));
  process.exit(0); // etcd3 keeps the process alive after close()
}
