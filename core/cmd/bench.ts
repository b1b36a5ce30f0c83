import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PintleError } from '#base';

/** One figure. `target` is text such as `>= 0.7`; `judge` says whether the ratio or the value is held against it. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  readonly ratio?: number;
  readonly judge?: 'ratio' | 'value';
  readonly target?: string;
  readonly ok?: boolean;
}

const folder = join(import.meta.dir, '../../test/bench');

/** What each benchmark measures; every one is a file of test/bench. */
export const benches: Readonly<Record<string, string>> = {
  start: 'from `up` on a new home to Ready, and to a service that answers (1 minute)',
  pod: 'from create to Running, one pod and 30 at once, against the engine asked directly (3 minutes)',
  idle: 'memory and processor time of a cluster that does nothing (2 minutes)',
  store: 'SQLite and etcd behind the store against both used directly; a watch replay (15 seconds)',
  dns: '10,000 services: questions per second of one core, latency, a change; against CoreDNS when it is on PATH (2 minutes)',
  ingress: 'the data plane against a bare proxy, 1,000 routes against 10, changes under load, a new route (6 minutes)',
  policy: '1,000 network policies over 1,000 pods: full sync, one pod, one policy (10 seconds)',
  overlay: 'pod to pod over two hosts by each backend against the same by hand; 500 peers (4 minutes)',
  join: 'from `join` on a new home to a Ready node, overlay included (1 minute)',
  proxy: '10,000 services: full sync, one change, connection latency against no proxy (15 seconds)',
  services: 'endpoints followed by three hosts of a lab; 10,000 services with affinity and policies (1 minute)',
  api: 'API server over TLS against a bare handler on the same store; with --peer against another API server (15 minutes)',
  monitoring: 'reading every page of metrics of a cluster with 1,000 pods: time and processor time (2 minutes)',
  replication: 'one controller 0 to 1,000 to 0 over 100 nodes without containers (1 minute)',
  plugins: 'hooks, isolation, reconciles, install, tools and custom resources (10 minutes)',
};

/** `bench NAME`: runs test/bench/NAME.ts, whose `run()` yields rows. Exit code 1 when a figure misses its target. */
export async function bench(name: string | undefined, options: BenchCommandOptions): Promise<void> {
  if (name === undefined) {
    for (const [each, text] of Object.entries(benches)) process.stdout.write(`${each.padEnd(13)}${text}\n`);
    process.stdout.write('run one: ./pintle bench NAME [--json]; all of them: ./pintle bench all\n');
    return;
  }
  const known = readdirSync(folder)
    .filter((file) => /^[a-z-]+\.ts$/.test(file))
    .map((file) => file.slice(0, -3));
  const names = name === 'all' ? Object.keys(benches) : [name];
  if (names.some((each) => !known.includes(each)))
    throw new PintleError('UNKNOWN_BENCH', `there is no benchmark ${name}`, `name one of ${known.join(', ')}`);
  for (const each of names) await runOne(each, options);
  process.exit(process.exitCode ?? 0); // etcd's client keeps the process alive
}

/** `peer`: for the benches that can put the same load on another server, which takes `token` as a bearer token. */
export interface BenchCommandOptions {
  readonly json?: boolean;
  readonly peer?: string;
  readonly token?: string;
}
interface RunOptions {
  readonly peer?: { readonly url: string; readonly token: string };
}

async function runOne(name: string, options: BenchCommandOptions): Promise<void> {
  const module = (await import(join(folder, `${name}.ts`))) as { run(options: RunOptions): AsyncIterable<Row> };
  const peer = options.peer ? { url: options.peer.replace(/\/$/, ''), token: options.token ?? '' } : undefined;
  try {
    for await (const row of module.run(peer ? { peer } : {})) {
      if (row.ok === false) process.exitCode = 1;
      process.stdout.write(options.json ? `${JSON.stringify(row)}\n` : `${rowText(row)}\n`);
    }
  } catch (error) {
    const { Skip } = (await import(join(folder, 'parts/row.ts'))) as { Skip: new () => Error };
    if (!(error instanceof Skip)) throw error;
    process.stderr.write(`skip: ${name} (${error.message})\n`);
  }
}

const rowText = (row: Row): string =>
  `${row.name.padEnd(36)}${String(row.value).padStart(10)} ${row.unit.padEnd(14)}${row.ratio === undefined ? '' : `× ${row.ratio.toFixed(2)} of ${row.baseline} `}${row.target ? `${row.target} ${row.ok ? 'ok' : 'MISSED'}` : ''}`.trimEnd();
