import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { type Target as Goal, interleave, type Row, ratioRow } from '../parts/row.ts';
import { load, perSecond, type Target } from './load.ts';
import { settledKb } from './memory.ts';
import { namespace, podsPath } from './pod.ts';
import { perCoreRow } from './processor.ts';
import { fill, getRate, listedPods, listRate } from './reads.ts';
import { startServer } from './servers.ts';
import { watchRate } from './watches.ts';
import { createOf, patchOf, run, writers } from './writes.ts';

const watchers = 500;
/** Of one row: the whole takes less than four minutes on a machine that others use too. */
const rowMsMax = 25_000;
/** A server may cut a watch that lags, which ends a round. */
const roundsMax = 3;

/**
 * The same load against another API server, in turns with ours. It writes into a namespace of its own there and removes it again. Memory of both is compared when the other one runs on this machine.
 */
export async function* besidePeer(peer: Target, smoke: boolean): AsyncIterable<Row> {
  const [pairs, seconds, count] = smoke ? [1, 0.1, 50] : [6, 1, listedPods];
  await using server = await startServer();
  const both = [server, peer];
  try {
    for (const target of both) await prepare(target);
    for (const target of both) {
      await fill(target, 'listed', count);
      await fill(target, 'updated', writers);
      await fill(target, 'watched', 8);
    }
    const pids = processesOf(peer);
    yield* memory(server.pid, pids, smoke);
    const compare = async (
      name: string,
      unit: string,
      measure: (target: Target) => Promise<number>,
      goal: Goal,
    ): Promise<Row> =>
      ratioRow(
        `api.peer.${name}`,
        unit,
        await interleave(
          pairs,
          () => measure(server),
          () => measure(peer),
          rowMsMax,
        ),
        goal,
      );
    yield await compare('get', 'requests/s', (target) => getRate(target, 'listed-0', seconds), '>= 5');
    yield await compare('list.10000', 'lists/s', (target) => listRate(target, seconds), '>= 8');
    if (pids.length > 0) {
      const lists = (target: Target) =>
        load({ ...target, type: 'requests', request: { method: 'GET', path: podsPath }, connections: 4, total: 4 });
      yield await perCoreRow('api.peer.list.10000', smoke ? 1 : 3, lists, server, { ...peer, pid: pids }, rowMsMax);
    }
    const write = (request: () => ReturnType<typeof createOf>) => async (target: Target) =>
      perSecond(await run(target, request(), seconds));
    yield await compare(
      'patch.64',
      'writes/s',
      write(() => patchOf('updated')),
      '>= 4',
    );
    yield await compare(`watch.${watchers}`, 'events/s', (target) => watched(target, smoke ? 5 : watchers), '>= 2');
    yield await compare(
      'create.64',
      'writes/s',
      write(() => createOf(podsPath)),
      '>= 4',
    );
  } finally {
    await remove(peer);
  }
}

const send = (target: Target, method: string, path: string, body?: string) =>
  load({ ...target, type: 'requests', request: { method, path, body }, connections: 1, total: 1 });

async function prepare(target: Target): Promise<void> {
  const metadata = (name: string) => JSON.stringify({ name });
  await send(
    target,
    'POST',
    '/api/v1/namespaces',
    `{"apiVersion":"v1","kind":"Namespace","metadata":${metadata(namespace)}}`,
  );
  const account = `{"apiVersion":"v1","kind":"ServiceAccount","metadata":${metadata('default')}}`;
  await send(target, 'POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, account).catch((error: unknown) => {
    if (!String(error).includes('409')) throw error; // its controllers were faster
  });
}

async function remove(target: Target): Promise<void> {
  await send(target, 'DELETE', podsPath, '{"gracePeriodSeconds":0}').catch(() => {});
  const path = `/api/v1/namespaces/${namespace}`;
  await send(target, 'DELETE', path).catch(() => {});
  const bare = `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"${namespace}"},"spec":{"finalizers":[]}}`;
  await send(target, 'PUT', `${path}/finalize`, bare).catch(() => {}); // where no controller does it
}

async function watched(target: Target, count: number): Promise<number> {
  for (let round = 1; ; round++)
    try {
      return await watchRate(target, count, 50);
    } catch (error) {
      if (round === roundsMax) throw error;
      console.error(`again: ${target.url}, ${String(error)}`);
    }
}

/** The server and its etcd; none when they are no processes of this machine that can be read. */
function processesOf(peer: Target): number[] {
  const api = listenerOf(Number(new URL(peer.url).port));
  if (api === undefined) return [];
  const etcd = /--etcd-servers=\S+?:(\d+)/.exec(readFileSync(`/proc/${api}/cmdline`, 'utf8'))?.[1];
  const store = etcd === undefined ? undefined : listenerOf(Number(etcd));
  return store === undefined ? [api] : [api, store];
}

async function* memory(ownPid: number, pids: readonly number[], smoke: boolean): AsyncIterable<Row> {
  if (pids.length === 0) {
    console.error('skip: api.peer.memory (the peer is no process of this machine that can be read)');
    return;
  }
  const [own, ...theirs] = await Promise.all([ownPid, ...pids].map((pid) => settledKb(pid, smoke)));
  yield ratioRow('api.peer.memory', 'MB', [[own! / 1024, theirs.reduce((sum, kb) => sum + kb, 0) / 1024]], '<= 0.333');
}

/** Who listens on this TCP port. */
function listenerOf(port: number): number | undefined {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6'])
    for (const line of readFileSync(table, 'utf8').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(hex) && fields[3] === '0A') inodes.add(`socket:[${fields[9]}]`);
    }
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    try {
      for (const file of readdirSync(`/proc/${pid}/fd`))
        if (inodes.has(readlinkSync(`/proc/${pid}/fd/${file}`))) return Number(pid);
    } catch {} // ended, or not ours to look at
  return undefined;
}
