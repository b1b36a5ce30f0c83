import { interleave, type Row, ratioRow } from '../parts/row.ts';
import { load, perSecond, type Target } from './load.ts';
import { podsPath, podText } from './pod.ts';
import { perCoreRow } from './processor.ts';
import type { BareServer, BenchServer } from './servers.ts';

const getConnections = 32;
const listConnections = 4;
export const listedPods = 10_000;

/** Creates pods `NAME-0` to `NAME-(count-1)` over the API. */
export async function fill(target: Target, name: string, count: number): Promise<void> {
  const request = { method: 'POST', path: podsPath, body: podText(`${name}-{i}`) };
  await load({ ...target, type: 'requests', request, connections: 32, total: count });
}
/** Requests a second for this path. */
export const readRate = async (target: Target, path: string, seconds: number, connections: number): Promise<number> =>
  perSecond(await load({ ...target, type: 'requests', request: { method: 'GET', path }, connections, seconds }));

export const getRate = (target: Target, name: string, seconds: number): Promise<number> =>
  readRate(target, `${podsPath}/${name}`, seconds, getConnections);
export const listRate = (target: Target, seconds: number): Promise<number> =>
  readRate(target, podsPath, seconds, listConnections);

/** GET of one pod and LIST of 10,000 against a handler that returns the same bytes. */
export async function* reads(server: BenchServer, bare: BareServer, smoke: boolean): AsyncIterable<Row> {
  const [pairs, seconds, count] = smoke ? [1, 0.1, 50] : [10, 1, listedPods];
  await fill(server, 'listed', count);
  for (const path of [`${podsPath}/listed-0`, podsPath]) await bare.keep(path, await bytesOf(server, path));
  const get = (target: Target) => () => getRate(target, 'listed-0', seconds);
  yield ratioRow('api.get', 'requests/s', await interleave(pairs, get(server), get(bare)), '>= 0.5');
  const gets = (target: Target) =>
    load({
      ...target,
      type: 'requests',
      request: { method: 'GET', path: `${podsPath}/listed-0` },
      connections: getConnections,
      total: smoke ? 50 : 10_000,
    });
  yield await perCoreRow('api.get', smoke ? 1 : 5, gets, server, bare);
  const list = (target: Target) => () => listRate(target, seconds);
  yield ratioRow('api.list.10000', 'lists/s', await interleave(pairs, list(server), list(bare)), '>= 0.7');
}

export async function bytesOf(target: Target, path: string, accept = 'application/json'): Promise<Uint8Array> {
  const answer = await fetch(target.url + path, {
    headers: {
      authorization: `Bearer ${target.token}`,
      accept,
      'accept-encoding': 'identity',
      'user-agent': 'pintle-bench/1',
    },
    tls: { rejectUnauthorized: false },
  });
  if (!answer.ok) throw new Error(`GET ${path} answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}
