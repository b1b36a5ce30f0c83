import { interleave, type Row, ratioRow, valueRow } from '../parts/row.ts';
import { holdWatches, load, perSecond, type Target } from './load.ts';
import { settledKb } from './memory.ts';
import { podsPath, prepareNamespace } from './pod.ts';
import { bytesOf, fill } from './reads.ts';
import { type BareServer, type BenchServer, startBare, startServer } from './servers.ts';
import { updateOf } from './writes.ts';

/** Changes of one pod, each of which reaches every watcher. */
export const changeOf = (name: string) => updateOf(name, podsPath);

/** Events a second over all watchers; ours writes, commits and sends, the bare one only sends the same bytes. */
export async function* watches(server: BenchServer, bare: BareServer, smoke: boolean): AsyncIterable<Row> {
  const [pairs, watchers, events] = smoke ? [1, 5, 5] : [10, 1_000, 100];
  await fill(server, 'watched', 8); // one for each connection of the trigger
  const object = Buffer.from(await bytesOf(server, `${podsPath}/watched-0`)).toString();
  const frame = `{"type":"MODIFIED","object":${object}}\n`;
  const ours = () => watchRate(server, watchers, events);
  const theirs = async () =>
    perSecond(
      await load({
        ...bare,
        type: 'watch',
        path: '/watch',
        watchers,
        events,
        trigger: { method: 'POST', path: '/fan', body: frame },
      }),
    );
  yield ratioRow(`api.watch.${watchers}x${events}`, 'events/s', await interleave(pairs, ours, theirs), '>= 0.7');
}

/** Needs pods `watched-0` to `watched-7`. Only changes from now on are sent. */
export async function watchRate(target: Target, watchers: number, events: number): Promise<number> {
  const list = await bytesOf(target, `${podsPath}?limit=1`);
  const version = /"resourceVersion":"(\d+)"/.exec(Buffer.from(list.subarray(0, 2000)).toString())![1];
  const path = `${podsPath}?watch=1&resourceVersion=${version}`;
  const job = { ...target, type: 'watch', path, watchers, events } as const;
  return perSecond(await load({ ...job, trigger: changeOf('watched') }));
}

/** Memory of watchers that wait: growth of the proportional set size of a server that did nothing else. */
export async function* idleWatches(smoke: boolean): AsyncIterable<Row> {
  const watchers = smoke ? 20 : 10_000;
  await using server = await startServer();
  await prepareNamespace(server.client);
  await fill(server, 'watched', 8);
  const ours = await perWatcherKb(server, `${podsPath}?watch=1`, watchers, smoke);
  await using bare = await startBare(server.home);
  const theirs = await perWatcherKb(bare, '/watch', watchers, smoke);
  yield valueRow(`api.watch.idle.${watchers}`, ours, 'KB each', '<= 14');
  yield valueRow(`api.watch.idle.${watchers}.bare`, theirs, 'KB each');
}

async function perWatcherKb(
  target: Target & { readonly pid: number },
  path: string,
  watchers: number,
  smoke: boolean,
): Promise<number> {
  const before = await settledKb(target.pid, smoke);
  await using _held = await holdWatches(target, path, watchers);
  return ((await settledKb(target.pid, smoke)) - before) / watchers;
}
