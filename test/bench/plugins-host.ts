import { removePlace, sandboxed } from '../fixtures/hook-cluster.ts';
import { type BenchOptions, type Row, ratioRow, valueRow } from './parts/row.ts';
import { type BadPlugins, beside } from './plugins/beside.ts';
import { reconcileInProcess } from './plugins/reconcile.ts';
import { hookRoundTrip, idlePrivateBytes, reconcileSandboxed } from './plugins/sandboxed.ts';

export interface HostBenchOptions extends BenchOptions {
  /** Parts to run, all by default: cost, crashing, floods or one of them by its name. */
  readonly only?: readonly string[];
}
/** Figures `plugins`, the host's part: what a plugin costs the cluster that runs it, and what a bad one costs everybody else. */
export async function* run({ smoke = false, only = [] }: HostBenchOptions = {}): AsyncIterable<Row> {
  const wanted = (part: string) => only.length === 0 || only.includes(part);
  try {
    if (wanted('cost')) yield* cost(smoke);
    if (wanted('crashing')) yield* crashing(smoke);
    for (const [name, bad] of floods) if (wanted('floods') || only.includes(name)) yield* flood(name, bad, smoke);
  } finally {
    removePlace();
  }
}

async function* cost(smoke: boolean): AsyncIterable<Row> {
  const keys = smoke ? 50 : 5_000;
  yield valueRow('plugins.reconcile.process', await reconcileInProcess(keys), 'keys/s', '>= 5000');
  if (!sandboxed) return console.error('skip: sandboxed plugins (needs root and unshare)');
  yield valueRow('plugins.reconcile.sandboxed', await reconcileSandboxed(keys), 'keys/s', '>= 2000');
  yield valueRow('plugins.hook.p99', await hookRoundTrip(smoke ? 50 : 5_000), 'ms', '<= 1');
  const idleBytes = await idlePrivateBytes(smoke ? 100 : 5_000);
  yield valueRow('plugins.idle.private', idleBytes / 1024 / 1024, 'MB', '<= 12');
}

/** Each window holds the whole life of 20 crash loops: at once, after 1, 2 and 4 s, and given up. `noise` is what no plugin has to do with. */
async function* crashing(smoke: boolean): AsyncIterable<Row> {
  const found = await beside({
    count: smoke ? 1 : 20,
    setup: 'setTimeout(() => process.exit(3), 50);',
    rounds: smoke ? 1 : 7,
    windowMs: smoke ? 200 : 12_000,
  });
  yield ratioRow('plugins.crashing20.api.p99', 'ms', found.pairs, '<= 1.05');
  yield ratioRow('plugins.crashing20.noise', 'ms', found.noise);
}

type Flood = Pick<BadPlugins, 'setup' | 'needs'>;
const endlessly = (work: string, atOnce: number): string =>
  `for (let lane = 0; lane < ${atOnce}; lane++) void (async () => { for (let n = 0; ; n++) { try { ${work} } catch { await new Promise((done) => setTimeout(done, 1)); } } })();`;
const map =
  '{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "flood-" + lane + "-" + n, namespace: "default" }, data: { a: "x".repeat(500) } }';
const floods: readonly (readonly [string, Flood])[] = [
  ['objects', { setup: endlessly(`await api.configmaps.create(${map});`, 50), needs: { configmaps: ['create'] } }],
  [
    'patches',
    {
      setup: `void api.configmaps.create({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "one", namespace: "default" } }).catch(() => {});
        ${endlessly('await api.configmaps.patch({ metadata: { name: "one", namespace: "default" } }, { data: { a: String(n) } });', 20)}`,
      needs: { configmaps: ['create', 'patch'] },
    },
  ],
  ['memory', { setup: 'const kept = []; setInterval(() => kept.push(Buffer.alloc(4 * 1024 * 1024, 1)), 5);' }],
  [
    'sockets',
    {
      setup: `const { connect } = require("node:net"); const open = []; setInterval(() => { for (let n = 0; n < 50; n++) { const one = connect("/api/api.sock"); one.on("error", () => {}); open.push(one); } }, 10);`,
    },
  ],
];
async function* flood(name: string, bad: Flood, smoke: boolean): AsyncIterable<Row> {
  const { pairs, residentBytes } = await beside({
    ...bad,
    count: 1,
    rounds: smoke ? 1 : 3,
    windowMs: smoke ? 200 : 10_000,
  });
  yield ratioRow(`plugins.flood.${name}.api.p99`, 'ms', pairs, '<= 2');
  const growth = residentBytes.at(-1)! - residentBytes[0]!;
  yield valueRow(`plugins.flood.${name}.api.growth`, growth / 1024 / 1024, 'MB');
}

if (import.meta.main) {
  const words = process.argv.slice(2);
  const only = words.filter((word) => !word.startsWith('-'));
  for await (const row of run({ smoke: words.includes('--smoke'), only })) console.log(JSON.stringify(row));
  process.exit(0); // what waits for its time keeps the process
}
