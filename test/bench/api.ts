import { etcdPath, startEtcd } from '../fixtures/etcd.ts';
import { growth } from './api/growth.ts';
import { inProcess } from './api/in-process.ts';
import { large } from './api/large.ts';
import type { Target } from './api/load.ts';
import { loop } from './api/loop.ts';
import { besidePeer } from './api/peer.ts';
import { prepareNamespace } from './api/pod.ts';
import { reads } from './api/reads.ts';
import { startBare, startServer } from './api/servers.ts';
import { idleWatches, watches } from './api/watches.ts';
import { writes } from './api/writes.ts';
import type { BenchOptions, Row } from './parts/row.ts';

export interface ApiBenchOptions extends BenchOptions {
  /** Another API server that gets the same load in turns with ours; then only that is measured. */
  readonly peer?: Target;
  /** Parts to run, all by default. */
  readonly only?: readonly string[];
}

/** Figures `api`: the API server in a process of its own with TLS, beside a bare TLS handler on the same store. */
export async function* run(options: ApiBenchOptions = {}): AsyncIterable<Row> {
  if (options.peer) {
    yield* besidePeer(options.peer, options.smoke === true);
    return;
  }
  const wanted = (part: string) => !options.only || options.only.includes(part);
  const smoke = options.smoke === true;
  if (wanted('inprocess')) yield* inProcess(smoke);
  if (wanted('reads') || wanted('writes') || wanted('watch')) {
    await using server = await startServer();
    await using bare = await startBare(server.home);
    await prepareNamespace(server.client);
    if (wanted('writes')) yield* writes('api', server, bare, smoke, true);
    if (wanted('watch')) yield* watches(server, bare, smoke);
    if (wanted('reads')) yield* reads(server, bare, smoke);
  }
  if (wanted('idle')) yield* idleWatches(smoke);
  if (wanted('loop')) yield* loop(smoke);
  if (wanted('large')) yield* large(smoke);
  if (wanted('etcd') && etcdPath) {
    await using etcd = await startEtcd();
    await using server = await startServer({ etcd: etcd.endpoint });
    await using bare = await startBare(server.home, etcd.endpoint);
    await prepareNamespace(server.client);
    yield* writes('api.etcd', server, bare, smoke, false);
  } else if (wanted('etcd')) console.error('skip: api.etcd (there is no etcd on PATH)');
  if (wanted('growth')) yield* growth(smoke);
}

if (import.meta.main) {
  const only = process.argv.slice(2);
  for await (const row of run(only.length > 0 ? { only } : {})) console.log(JSON.stringify(row));
  process.exit(0); // etcd3 keeps the process alive
}
