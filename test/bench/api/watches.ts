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

/** The path of a watch that begins with the next change. */
async function fromNow(target: Target): Promise<string> {
  const list = await bytesOf(target, `${podsPath}?limit=1`);
  const version = /"resourceVersion":"(\d+)"/.exec(Buffer.from(list.subarray(0, 2000)).toString())![1];
  return `${podsPath}?watch=1&resourceVersion=${version}`;
}

/** Needs pods `watched-0` to `watched-7`. Only changes from now on are sent. */
export async function watchRate(target: Target, watchers: number, events: number): Promise<number> {
  const path = await fromNow(target);
  const job = { ...target, type: 'watch', path, watchers, events } as const;
  return perSecond(await load({ ...job, trigger: changeOf('watched') }));
}

/**
 * Memory of watchers that wait: growth of the proportional set size of a server that did nothing else. They follow from a version,
 * as informers do after their list; what begins with states keeps the buffers of Bun and TLS that carried them, ours or bare.
 */
export async function* idleWatches(smoke: boolean): AsyncIterable<Row> {
  const watchers = smoke ? 20 : 10_000;
  await using server = await startServer();
  await prepareNamespace(server.client);
  await fill(server, 'watched', 8);
  await warmUp(server, `${podsPath}?watch=1`, smoke);
  const path = await fromNow(server);
  yield valueRow(`api.watch.idle.${watchers}`, await perWatcherKb(server, path, watchers, smoke), 'KB each', '<= 14');
  await using bare = await startBare(server.home);
  await warmUp(bare, '/watch', smoke);
  const theirs = await perWatcherKb(bare, '/watch', watchers, smoke);
  yield valueRow(`api.watch.idle.${watchers}.bare`, theirs, 'KB each');
}

/** What the first watches of a process load and compile is not the next one's. */
async function warmUp(target: Target, path: string, smoke: boolean): Promise<void> {
  await using _held = await holdWatches(target, path, smoke ? 2 : 100);
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
