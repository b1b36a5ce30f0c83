import { type Row, ratioRow } from '../parts/row.ts';
import { load, type Target } from './load.ts';
import { podsPath, prepareNamespace } from './pod.ts';
import { bytesOf, fill } from './reads.ts';
import { startServer } from './servers.ts';

const connections = 4;
const works = [
  ['protobuf', podsPath, 'application/vnd.kubernetes.protobuf'],
  ['yaml', `${podsPath}?limit=500`, 'application/yaml'],
  ['openapi-v2', '/openapi/v2', 'application/json'],
] as const;

/**
 * The slowest of the small reads beside a large answer that is made for the first time, with the thread for such work and
 * without it (the baseline): what one client's list costs all the others. Documents in JSON are made on the loop in both, in slices.
 */
export async function* loop(smoke: boolean): AsyncIterable<Row> {
  const count = smoke ? 300 : 5_000;
  const found = new Map<string, [number, number][]>(works.map(([name]) => [name, []]));
  for (let round = 0; round < (smoke ? 1 : 3); round++) {
    const there = await slowest(count, 'thread');
    const here = await slowest(count, 'loop');
    for (const [name] of works) found.get(name)!.push([there[name]!, here[name]!]);
  }
  for (const [name, pairs] of found) yield ratioRow(`api.loop.${name}.slowest-get`, 'ms', pairs);
}

/** For each work, in milliseconds. */
async function slowest(count: number, heavy: 'thread' | 'loop'): Promise<Record<string, number>> {
  await using server = await startServer({ heavy });
  await prepareNamespace(server.client);
  await fill(server, 'listed', count);
  const request = { method: 'GET', path: `${podsPath}/listed-0` };
  const reads = (target: Target, milliseconds: number) =>
    load({ ...target, type: 'requests', request, connections, seconds: milliseconds / 1000 });
  await reads(server, 2_000); // compiled by then
  const result: Record<string, number> = {};
  for (const [name, path, accept] of works) {
    const reading = reads(server, 3_000);
    await Bun.sleep(500); // under way
    await bytesOf(server, path, accept);
    result[name] = (await reading).maxMs;
  }
  return result;
}
