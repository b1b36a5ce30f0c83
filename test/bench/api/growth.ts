import { silentLog, systemClock } from '#base';
import { openSqliteStore } from '../../../core/store/sqlite.ts';
import { type Row, valueRow } from '../parts/row.ts';
import { load, perSecond } from './load.ts';
import { highestKb, settledKb } from './memory.ts';
import { namespace, podsPath, prepareNamespace } from './pod.ts';
import { bytesOf, fill, getRate, readRate } from './reads.ts';
import { type BenchServer, startServer } from './servers.ts';
import { watchRate } from './watches.ts';
import { createOf, patchOf, run, updateOf } from './writes.ts';

const memoryTargetMb = 600;
const batch = 5_000;

/** The same figures at 1,000, 10,000 and 100,000 stored pods, and the memory of the last. */
export async function* growth(smoke: boolean): AsyncIterable<Row> {
  const sample = await storedPod();
  for (const count of smoke ? [20] : [1_000, 10_000, 100_000]) {
    await using server = await startServer({ prepare: (path) => fillStore(path, sample, count) });
    yield valueRow(`api.grow.${count}.start`, server.startMs, 'ms');
    const heavy = count >= 100_000;
    const idleMb = (await settledKb(server.pid, smoke)) / 1024;
    yield valueRow(`api.grow.${count}.memory`, idleMb, 'MB', heavy ? `<= ${memoryTargetMb}` : undefined);
    await prepareNamespace(server.client);
    yield* figures(server, count, smoke ? 0.1 : 2);
    yield* listed(server, count, smoke);
  }
}

async function* figures(server: BenchServer, count: number, seconds: number): AsyncIterable<Row> {
  const name = (what: string) => `api.grow.${count}.${what}`;
  yield valueRow(name('get'), await getRate(server, 'stored-7', seconds), 'requests/s');
  yield valueRow(name('list-500'), await readRate(server, `${podsPath}?limit=500`, seconds, 4), 'lists/s');
  yield valueRow(name('create'), perSecond(await run(server, createOf(podsPath), seconds)), 'writes/s');
  await fill(server, 'updated', 64);
  yield valueRow(name('update'), perSecond(await run(server, updateOf('updated', podsPath), seconds)), 'writes/s');
  yield valueRow(name('patch'), perSecond(await run(server, patchOf('updated'), seconds)), 'writes/s');
  await fill(server, 'watched', 8);
  yield valueRow(name('watch'), await watchRate(server, seconds < 1 ? 5 : 100, 100), 'events/s');
}

const atOnce = 4;

/**
 * Whole lists: how long one takes, what it adds to memory at its highest while it is sent and what it leaves, and the same of
 * several at once. They are read by a process of its own that keeps nothing. The writes before it were few beside what is stored.
 */
async function* listed(server: BenchServer, count: number, smoke: boolean): AsyncIterable<Row> {
  const before = await settledKb(server.pid, smoke);
  const share = (kb: number) => (100 * (kb - before)) / before;
  const goal = count >= 100_000 ? '<= 30' : undefined;
  const name = (what: string) => `api.grow.${count}.list-all${what}`;
  const lists = (connections: number) =>
    load({ ...server, type: 'requests', request: { method: 'GET', path: podsPath }, connections, total: connections });
  let p50Ms = 0;
  const peak = await highestKb(server.pid, async () => {
    ({ p50Ms } = await lists(1));
  });
  yield valueRow(name(''), p50Ms, 'ms');
  yield valueRow(name('.memory-at-once'), share(peak), '% more', goal);
  yield valueRow(name('.memory'), share(await settledKb(server.pid, smoke)), '% more', goal);
  const several = await highestKb(server.pid, () => lists(atOnce));
  yield valueRow(name(`.${atOnce}.memory-at-once`), share(several), '% more', goal);
}

/** A pod as the server stores it. */
async function storedPod(): Promise<string> {
  await using server = await startServer();
  await prepareNamespace(server.client);
  await fill(server, 'stored', 1);
  const text = Buffer.from(await bytesOf(server, `${podsPath}/stored-0`)).toString();
  return text.replace(/"resourceVersion":"\d+",/, '');
}

async function fillStore(path: string, sample: string, count: number): Promise<void> {
  await using store = await openSqliteStore({ path, clock: systemClock, log: silentLog });
  const one = (index: number) => {
    const text = sample
      .replaceAll('stored-0', `stored-${index}`)
      .replace(/"uid":"[^"]+"/, `"uid":"${crypto.randomUUID()}"`);
    return store.create(`/registry/core/pods/${namespace}/stored-${index}`, Buffer.from(text));
  };
  for (let from = 0; from < count; from += batch)
    await Promise.all(Array.from({ length: Math.min(batch, count - from) }, (_, index) => one(from + index)));
}
