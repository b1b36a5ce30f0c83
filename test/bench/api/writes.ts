import { type Target as Goal, interleave, type Row, ratioRow } from '../parts/row.ts';
import { type LoadRequest, type LoadResult, load, perSecond, type Target } from './load.ts';
import { namespace, podsPath, podText } from './pod.ts';
import { perCoreRow } from './processor.ts';
import { fill } from './reads.ts';
import type { BareServer, BenchServer } from './servers.ts';

export const writers = 64;
let round = 0;

/** Creates and updates at 64 writers against a handler that parses and commits the same text. */
export async function* writes(
  name: string,
  server: BenchServer,
  bare: BareServer,
  smoke: boolean,
  judged: boolean,
): AsyncIterable<Row> {
  const [pairs, seconds] = smoke ? [1, 0.1] : [judged ? 10 : 5, 1];
  const rate: Goal | undefined = judged ? '>= 0.5' : undefined;
  const tail: Goal | undefined = judged ? '<= 3' : undefined;
  const create = (target: Target) => run(target, createOf(target === bare ? '/objects' : podsPath), seconds);
  yield* rows(`${name}.create.64`, pairs, create, server, bare, rate, tail);
  yield await perCoreRow(`${name}.create.64`, smoke ? 1 : 5, create, server, bare);
  await fill(server, `updated-${name}`, writers);
  const update = (target: Target) =>
    run(target, updateOf(`updated-${name}`, target === bare ? '/objects' : podsPath), seconds);
  yield* rows(`${name}.update.64`, pairs, update, server, bare, rate, tail);
  yield await perCoreRow(`${name}.update.64`, smoke ? 1 : 5, update, server, bare);
}

/** A new name in every run: pods stay. */
export const createOf = (path: string): LoadRequest => {
  const text = podText(`created-${process.pid}-${round++}-{i}`);
  return { method: 'POST', path: path === podsPath ? path : `${path}/new`, body: text };
};
/** Each writer owns a pod and changes an annotation of it without naming a version. */
export const updateOf = (name: string, path: string): LoadRequest => ({
  method: 'PUT',
  path: `${path}/${name}-{w}`,
  body: podText(`${name}-{w}`).replace(
    '"bench.example/note"',
    `"bench.example/count":"${round++}-{i}","bench.example/note"`,
  ),
});
export const patchOf = (name: string): LoadRequest => ({
  method: 'PATCH',
  path: `/api/v1/namespaces/${namespace}/pods/${name}-{w}`,
  type: 'application/strategic-merge-patch+json',
  body: `{"metadata":{"annotations":{"bench.example/count":"${round++}-{i}"}}}`,
});

export const run = (target: Target, request: LoadRequest, seconds: number): Promise<LoadResult> =>
  load({ ...target, type: 'requests', request, connections: writers, seconds });

async function* rows(
  name: string,
  pairs: number,
  work: (target: Target) => Promise<LoadResult>,
  server: Target,
  bare: Target,
  rate: Goal | undefined,
  tail: Goal | undefined,
): AsyncIterable<Row> {
  const tails: Record<string, number[]> = { [server.url]: [], [bare.url]: [] };
  const measure = (target: Target) => async () => {
    const result = await work(target);
    tails[target.url]!.push(result.p99Ms);
    return perSecond(result);
  };
  yield ratioRow(name, 'writes/s', await interleave(pairs, measure(server), measure(bare)), rate);
  const [ours, theirs] = [tails[server.url]!.slice(1), tails[bare.url]!.slice(1)]; // the first pair does not count
  yield ratioRow(
    `${name}.p99`,
    'ms',
    ours.map((each, index) => [each, theirs[index]!] as const),
    tail,
  );
}
