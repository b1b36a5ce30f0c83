import { type BenchOptions, type Row, valueRow } from './parts/row.ts';
import { reconcileInProcess } from './plugins/reconcile.ts';

/** Figures `plugins`, the host's part: what a plugin costs the cluster that runs it. */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  const keys = options.smoke ? 50 : 5_000;
  yield valueRow('plugins.reconcile.process', await reconcileInProcess(keys), 'keys/s', '>= 5000');
}
