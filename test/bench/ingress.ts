import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ingressKind, nodeKind, serviceKind } from '#api';
import { programOnPath } from '#base';
import { RawHttp } from '../fixtures/raw-http.ts';
import { benchCluster, benchEngine } from './parts/cluster.ts';
import { haproxyRows } from './parts/ingress-haproxy.ts';
import { benchTarget } from './parts/ingress-routes.ts';
import { type BenchOptions, interleave, percentile, type Row, ratioRow, Skip, until, valueRow } from './parts/row.ts';

const ticksPerSecond = 100; // of /proc/PID/stat, on every Linux
const connections = 20;

/**
 * Figures `ingress`: the built-in data plane and a bare Bun proxy (Bun.serve and fetch, nothing else) in processes of their own,
 * in turn under the same load of wrk. Rates are requests for each second of the plane's processor time, which is what one core
 * gives whatever else the machine does. Then what a hundred changes do to requests under way, and a new Ingress until it answers.
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  if (!programOnPath('wrk')) throw new Skip('there is no wrk');
  const seconds = options.smoke ? 0.5 : 3;
  const rounds = options.smoke ? 1 : 10;
  const body = 'x'.repeat(1_024);
  using backend = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response(body) });
  const port = String(backend.port!);
  await using bare = await startPlane('bare', '0', port);
  await using few = await startPlane('builtin', '10', port);
  await using many = await startPlane('builtin', '1000', port);
  const rate = (plane: Plane, routes: number) => () => plane.load(benchTarget(routes), seconds);
  yield ratioRow('ingress.builtin', 'requests/s', await interleave(rounds, rate(few, 10), rate(bare, 10)), '>= 0.8');
  const pairs = await interleave(rounds, rate(many, 1_000), rate(few, 10));
  yield ratioRow('ingress.builtin.routes', 'requests/s', pairs, '>= 0.95');
  const { failed, served } = await changesUnderLoad(few, options.smoke ? 5 : 100);
  yield valueRow('ingress.builtin.changes.failed', failed, 'requests', '<= 0');
  yield valueRow('ingress.builtin.changes.served', served, 'requests');
  yield* haproxyRows(backend.port!, seconds, rounds, options.smoke ? 5 : 100);
  yield valueRow('ingress.live', percentile(await liveTimes(options.smoke ? 2 : 20), 0.99), 'ms', '<= 300');
}

export interface Plane extends AsyncDisposable {
  readonly port: number;
  /** Requests for each second of its processor time. Throws when one of them failed. */
  load(target: { readonly host: string; readonly path: string }, seconds: number): Promise<number>;
  change(): Promise<void>;
}
async function startPlane(...words: readonly string[]): Promise<Plane> {
  const argv = [process.execPath, join(import.meta.dir, 'parts', 'ingress-plane.ts'), ...words];
  const child = Bun.spawn(argv, { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' });
  const lines = child.stdout.getReader();
  const line = async () => new TextDecoder().decode((await lines.read()).value).trim();
  const port = Number(await line());
  return {
    port,
    load: (target, seconds) => wrk(child.pid, port, target, seconds),
    async change() {
      child.stdin.write('x\n');
      await child.stdin.flush();
      await line();
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await Promise.race([child.exited, Bun.sleep(10_000)]);
      child.kill('SIGKILL');
    },
  };
}

/** Also for others who measure planes: `pid` is the process whose time is counted. */
export async function wrk(
  pid: number,
  port: number,
  { host, path }: { readonly host: string; readonly path: string },
  seconds: number,
): Promise<number> {
  const before = cpuSeconds(pid);
  const load = ['wrk', '-t1', `-c${connections}`, `-d${Math.max(1, Math.round(seconds))}s`, '-H', `Host: ${host}`];
  const child = Bun.spawn([...load, `http://127.0.0.1:${port}${path}`], { stdout: 'pipe', stderr: 'pipe' });
  const out = await child.stdout.text();
  const served = Number(/(\d+) requests in/.exec(out)?.[1] ?? 0);
  if (served === 0 || /Non-2xx|Socket errors/.test(out)) throw new Error(`the load failed: ${out}`);
  return served / Math.max(1 / ticksPerSecond, cpuSeconds(pid) - before);
}
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Eight clients that ask one request after the other, while routes and hosts come and go. */
export async function changesUnderLoad(plane: Plane, changes: number): Promise<{ failed: number; served: number }> {
  const end = new AbortController();
  const { host, path } = benchTarget(10);
  let [failed, served] = [0, 0];
  const client = async () => {
    using connection = new RawHttp(plane.port);
    while (!end.signal.aborted) {
      connection.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const { status } = await connection.answer();
      if (status === 200) served++;
      else failed++;
      if (status === 0) return;
    }
  };
  const clients = Array.from({ length: 8 }, client);
  for (let turn = 0; turn < changes; turn++) await plane.change();
  end.abort();
  await Promise.all(clients);
  return { failed, served };
}

/** On a real cluster: from the write of an Ingress to the first answer by its route. */
export async function liveTimes(count: number): Promise<number[]> {
  await using cluster = await benchCluster(await benchEngine());
  const { client } = cluster;
  const namespace = 'default';
  await client.create(serviceKind, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace },
    spec: { ports: [{ port: 80 }] },
  } as never);
  const ingress = (index: number) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name: `i${index}`, namespace },
    spec: {
      rules: [
        {
          host: `h${index}.example`,
          http: {
            paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }],
          },
        },
      ],
    },
  });
  await client.create(ingressKind, ingress(0) as never);
  let place = '';
  await until('the data plane is announced', async () => {
    const [node] = (await client.list(nodeKind)).items;
    place = node?.metadata.annotations?.['ingress.pintle.dev/endpoint'] ?? '';
    return place !== '';
  });
  const [ip, port] = place.split(':');
  // A Service without endpoints is answered 503 by its route, and 404 without one: nothing else is waited for.
  const status = async (index: number) =>
    (await fetch(`http://${ip}:${port}/`, { headers: { host: `h${index}.example` } })).status;
  await until('the first route', async () => (await status(0).catch(() => 0)) === 503);
  const times: number[] = [];
  for (let index = 1; index <= count; index++) {
    const start = performance.now();
    await client.create(ingressKind, ingress(index) as never);
    while ((await status(index)) !== 503) {}
    times.push(performance.now() - start);
  }
  return times;
}
