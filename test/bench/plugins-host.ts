import { removePlace, sandboxed } from '../fixtures/hook-cluster.ts';
import { type BenchOptions, type Row, ratioRow, valueRow } from './parts/row.ts';
import { reconcileInProcess } from './plugins/reconcile.ts';
import { besideCrashing, hookRoundTrip, idlePrivateBytes, reconcileSandboxed } from './plugins/sandboxed.ts';

/** Figures `plugins`, the host's part: what a plugin costs the cluster that runs it. */
export async function* run({ smoke = false }: BenchOptions = {}): AsyncIterable<Row> {
  const keys = smoke ? 50 : 5_000;
  try {
    yield valueRow('plugins.reconcile.process', await reconcileInProcess(keys), 'keys/s', '>= 5000');
    if (sandboxed) {
      yield valueRow('plugins.reconcile.sandboxed', await reconcileSandboxed(keys), 'keys/s', '>= 2000');
      yield valueRow('plugins.hook.p99', await hookRoundTrip(smoke ? 50 : 5_000), 'ms', '<= 1');
      const idleBytes = await idlePrivateBytes(smoke ? 100 : 5_000);
      yield valueRow('plugins.idle.private', idleBytes / 1024 / 1024, 'MB', '<= 12');
    } else console.error('skip: sandboxed plugins (needs root and unshare)');
    const pair = await besideCrashing(smoke ? 1 : 20, smoke);
    yield ratioRow('plugins.crashing20.api.p99', 'ms', [pair], '<= 1.05');
  } finally {
    removePlace();
  }
}

if (import.meta.main) {
  for await (const row of run({ smoke: process.argv.includes('--smoke') })) console.log(JSON.stringify(row));
  process.exit(0); // what waits for its time keeps the process
}
