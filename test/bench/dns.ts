import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { endpointSliceKind } from '#api';
import { programOnPath } from '#base';
import { dig, hasDig } from '../fixtures/dig.ts';
import { DnsCluster, until } from '../fixtures/dns-cluster.ts';
import { type BenchOptions, interleave, median, percentile, type Row, ratioRow, Skip, valueRow } from './parts/row.ts';

const windowQuestions = 12; // under way at once: enough that the server never waits for the client
const headlessCount = 100;
const port = 10_053;
const zone = 'shop.svc.cluster.local';
const ticksPerSecond = 100; // of /proc/PID/stat, on every Linux

/**
 * Figures `dns`: a cluster of 10,000 services with their endpoints behind a real API server; the embedded server, and CoreDNS
 * when its program is on PATH, each bound to one core, in turn under the same questions. Rates are questions for each second of
 * the server's processor time, which is what one core gives whatever else the machine does; `wall` is what the client saw.
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  if (!hasDig()) throw new Skip('there is no dig (bind9-dnsutils)');
  const services = options.smoke ? 200 : 10_000;
  await using cluster = await DnsCluster.start();
  await fill(cluster, services);
  const api = await cluster.listen();
  const words = [api.url, api.caFile, api.tokenFile];
  const second = 150 + (process.pid % 50);
  await using ours = await startServer('embedded', `127.${second}.2.1`, words, join(cluster.folder, 'own'), services);
  await using theirs = programOnPath('coredns')
    ? await startServer('coredns', `127.${second}.2.2`, words, join(cluster.folder, 'theirs'), services)
    : undefined;
  const seconds = options.smoke ? 0.5 : 4;
  const wall: number[] = [];
  const p99: number[] = [];
  const measureOurs = async () => {
    const { rate, perCore, p99Ms } = await ours.round(seconds);
    wall.push(rate);
    p99.push(p99Ms);
    return perCore;
  };
  const p99Theirs: number[] = [];
  const pairs = await interleave(options.smoke ? 1 : 5, measureOurs, async () => {
    const round = await theirs?.round(seconds);
    if (round) p99Theirs.push(round.p99Ms);
    return round?.perCore ?? 1;
  });
  yield valueRow('dns.rate', median(pairs.map(([rate]) => rate)), 'questions/s', '>= 20000');
  yield valueRow('dns.rate.wall', median(wall), 'questions/s');
  yield valueRow('dns.p99', median(p99), 'ms', '<= 2');
  if (theirs) {
    yield ratioRow('dns.rate.coredns', 'questions/s', pairs, '>= 1');
    yield valueRow('dns.p99.coredns', median(p99Theirs), 'ms');
  }
  if (!theirs) console.error('skip: dns.rate.coredns (there is no coredns on PATH)');
  yield* flood(ours, options.smoke ? 1 : 5);
  yield valueRow('dns.change', percentile(await changes(cluster, ours, options.smoke ? 3 : 50), 0.99), 'ms', '<= 100');
}

/** Services `s0`… with two endpoints each, and headless ones `h0`… with three. */
async function fill(cluster: DnsCluster, services: number): Promise<void> {
  const makeOne = async (index: number) => {
    const endpoint = (last: number) => ({ addresses: [`10.244.${index % 250}.${last}`] });
    const ports = [{ name: 'http', port: 8080, protocol: 'TCP' }];
    const slice = { addressType: 'IPv4', ports };
    await cluster.service(`s${index}`, { ports: [{ name: 'http', port: 80 }] });
    await cluster.slice(`s${index}`, { ...slice, endpoints: [endpoint(1), endpoint(2)] });
    if (index >= headlessCount) return;
    await cluster.service(`h${index}`, { clusterIP: 'None', ports: [{ name: 'http', port: 80 }] });
    await cluster.slice(`h${index}`, { ...slice, endpoints: [endpoint(3), endpoint(4), endpoint(5)] });
  };
  let next = 0;
  const worker = async () => {
    while (next < services) await makeOne(next++);
  };
  await Promise.all(Array.from({ length: 32 }, worker));
}

interface ServerUnderLoad extends AsyncDisposable {
  readonly ip: string;
  readonly port: number;
  round(seconds: number): Promise<{ rate: number; perCore: number; p99Ms: number }>;
}
async function startServer(
  driver: 'embedded' | 'coredns',
  ip: string,
  api: readonly string[],
  folder: string,
  services: number,
): Promise<ServerUnderLoad> {
  const script = (name: string) => [process.execPath, join(import.meta.dir, 'parts', name)];
  const pipes = { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' } as const;
  const server = Bun.spawn(['taskset', '-c', '0', ...script('dns-server.ts'), driver, ip, ...api, folder], pipes);
  await until(`${driver} answers`, async () => {
    const reply = await dig({ ip, port }, `s${services - 1}.${zone}`, 'A').catch(() => undefined);
    return reply?.answer.length === 1 ? true : undefined;
  });
  const pid = driver === 'embedded' ? server.pid : childOf(server.pid);
  const load = Bun.spawn([...script('dns-load.ts'), ip, String(port), String(services), String(headlessCount)], pipes);
  const lines = load.stdout.getReader();
  return {
    ip,
    port,
    async round(seconds) {
      const before = cpuSeconds(pid);
      load.stdin.write(`${seconds} ${windowQuestions}\n`);
      await load.stdin.flush();
      const { value } = await lines.read();
      if (!value) throw new Error('the client ended');
      const { replies, p99Ms } = JSON.parse(new TextDecoder().decode(value)) as { replies: number; p99Ms: number };
      return { rate: replies / seconds, perCore: replies / (cpuSeconds(pid) - before), p99Ms };
    },
    async [Symbol.asyncDispose]() {
      load.kill();
      server.stdin.end();
      await Promise.race([server.exited, Bun.sleep(5_000)]);
      server.kill('SIGKILL');
      await Promise.all([server.exited, load.exited]);
    },
  };
}

const childOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** What a pod notices of another one that asks as fast as it can. */
async function* flood({ ip, port: at }: ServerUnderLoad, seconds: number): AsyncIterable<Row> {
  const start = (role: 'flood' | 'polite', own: string) => {
    const script = join(import.meta.dir, 'parts/dns-flood.ts');
    const argv = [
      process.execPath,
      script,
      role,
      ip,
      `${at}`,
      own,
      `s1.${zone}`,
      `${seconds + (role === 'flood' ? 2 : 0)}`,
    ];
    return Bun.spawn(argv, { stdout: 'pipe', stderr: 'inherit' });
  };
  const polite = async () =>
    JSON.parse(await start('polite', '127.250.0.2').stdout.text()) as { p99Ms: number; lost: number };
  const alone = await polite();
  const flooder = start('flood', '127.250.0.9');
  const beside = await polite();
  await flooder.exited;
  yield valueRow('dns.flood.p99', beside.p99Ms, 'ms');
  yield valueRow('dns.flood.p99.alone', alone.p99Ms, 'ms');
  yield valueRow('dns.flood.lost', 100 * beside.lost, '%');
}

/** From the write of an endpoint to the first reply that has it. */
async function changes(cluster: DnsCluster, server: ServerUnderLoad, count: number): Promise<number[]> {
  const { encode, decode, RECURSION_DESIRED } = await import('dns-packet');
  const question = { name: `h0.${zone}`, type: 'A' as const };
  const packet = encode({ id: 1, type: 'query', flags: RECURSION_DESIRED, questions: [question] });
  let wanted = '';
  let seen = () => {};
  const socket = await Bun.udpSocket({
    connect: { hostname: server.ip, port: server.port },
    socket: {
      data(_own, reply) {
        const [answer] = decode(Buffer.from(reply)).answers ?? [];
        if (answer?.type === 'A' && answer.data === wanted) seen();
        else socket.send(packet);
      },
    },
  });
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    wanted = `10.244.250.${index + 1}`;
    const { promise, resolve } = Promise.withResolvers<void>();
    seen = resolve;
    const body = { endpoints: [{ addresses: [wanted] }] };
    const startMs = performance.now();
    await cluster.client.patch(endpointSliceKind, { namespace: 'shop', name: 'h0' }, { type: 'merge', body });
    socket.send(packet);
    await Promise.race([promise, Bun.sleep(20_000)]);
    times.push(performance.now() - startMs);
  }
  socket.close();
  return times;
}
