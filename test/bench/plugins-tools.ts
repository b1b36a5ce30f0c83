import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Scope } from '#base';
import { develop } from '../../core/cmd/dev/dev.ts';
import { newPlugin } from '../../core/cmd/plugin-new.ts';
import { catalog } from '../../plugins/standard/catalog.ts';
import { askFor, builtPlugin, pluginCluster, pluginStatus, startHost, until } from '../fixtures/plugin-cluster.ts';
import { type BenchOptions, type Row, valueRow } from './parts/row.ts';

/** Figures `plugins`, the author's and the operator's part: from a new folder to a test, a reload, an installation. */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  const place = mkdtempSync(join(tmpdir(), 'pintle-bench-'));
  const times = options.smoke ? 1 : 5;
  try {
    yield valueRow('plugins.new.test', await median(times, (index) => newToPass(place, index)), 'ms', '<= 5000');
    const { clusterMs, reloadMs } = await reloads(place, options.smoke ? 2 : 15);
    yield valueRow('plugins.dev.cluster', clusterMs, 'ms', '<= 300');
    yield valueRow('plugins.dev.reload', reloadMs, 'ms', '<= 150');
    yield valueRow('plugins.install.active', await median(times, () => installMs(place)), 'ms', '<= 700');
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

async function median(times: number, once: (index: number) => Promise<number>): Promise<number> {
  const all: number[] = [];
  for (let index = 0; index < times; index++) all.push(await once(index));
  return middle(all);
}
const middle = (all: readonly number[]): number => [...all].sort((a, b) => a - b)[all.length >> 1]!;

/** `plugin new` and `plugin test`, as two runs of the program. */
async function newToPass(place: string, index: number): Promise<number> {
  const beganMs = performance.now();
  for (const verb of ['new', 'test']) {
    const argv = [
      process.execPath,
      join(import.meta.dir, '../../plugins/standard/main.ts'),
      'plugin',
      verb,
      `p${index}`,
    ];
    const child = Bun.spawn(argv, { cwd: place, stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' });
    if ((await child.exited) !== 0) throw new Error(`plugin ${verb} failed`);
  }
  return performance.now() - beganMs;
}

/** From the save to the newer version acting, as the program itself tells; the first one warms and does not count. */
async function reloads(place: string, times: number): Promise<{ clusterMs: number; reloadMs: number }> {
  const folder = join(place, 'reload');
  await quietly(() => newPlugin(folder));
  const file = join(folder, 'plugin.ts');
  const text = readFileSync(file, 'utf8');
  const stop = new AbortController();
  const lines: string[] = [];
  const running = develop(folder, {}, catalog, { say: (line) => void lines.push(line), signal: stop.signal });
  const found = (pattern: RegExp) => lines.flatMap((line) => pattern.exec(line)?.[1] ?? []).map(Number);
  const runs = () => found(/runs after (\d+) ms/);
  try {
    await until('the first start', async () => runs().length > 0, 60_000);
    for (let index = 1; index <= times; index++) {
      await Bun.sleep(300); // an author, and the next process that starts ahead
      writeFileSync(file, `${text}// ${index}\n`);
      await until('a reload', async () => runs().length > index, 60_000);
    }
  } finally {
    stop.abort();
    await running;
  }
  return { clusterMs: found(/after (\d+) ms: export/)[0]!, reloadMs: middle(runs().slice(1)) };
}
async function quietly(work: () => Promise<void>): Promise<void> {
  const write = process.stdout.write;
  process.stdout.write = () => true;
  try {
    await work();
  } finally {
    process.stdout.write = write;
  }
}

/** From the write of the Plugin object to its phase Active, on a server that runs; the health window begins there. */
async function installMs(place: string): Promise<number> {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  const head = 'const Note = crd({ group: "notes.example.com", kind: "Note", version: "v1", spec: t.object({}) });';
  const bundle = await builtPlugin(place, {
    name: 'bench',
    head,
    more: 'resources: [Note],',
    setup: 'reconcile(Note, {}, async () => {});',
  });
  const beganMs = performance.now();
  await askFor(to, bundle);
  await until('active', async () => (await pluginStatus(to.client, 'bench'))?.phase === 'Active');
  return performance.now() - beganMs;
}
