import { readFileSync } from 'node:fs';
import { replicationControllerKind } from '#api';
import { watchPods } from './parts/api.ts';
import { type FakeCluster, fakeCluster } from './parts/control-plane.ts';
import { type BenchOptions, median, millisOf, percentile, type Row, valueRow } from './parts/row.ts';

const namespace = 'default';
const name = 'crowd';
const ticksPerSecond = 100; // of /proc/PID/stat, on every Linux
const everySeconds = 15;
const pauseMs = 1_100; // kubelets give the former figures for a second

/**
 * Figures `monitoring`: a cluster of 1,000 pods on 10 nodes whose containers are pretended; all else is real. One round reads
 * every page that the generated configuration of Prometheus names, all at once, through the API server; what an engine needs to
 * count for its containers is not in it. Processor time is that of all processes of the cluster beyond what they use anyway.
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  const [nodes, pods, rounds, windows] = options.smoke ? [2, 10, 2, 1] : [10, 1_000, 5, 6];
  await using cluster = await fakeCluster(nodes, { serves: true });
  await fill(cluster, pods);
  const paths = [
    '/metrics',
    '/metrics/controllers',
    '/metrics/plugins',
    '/metrics/state',
    ...Array.from({ length: nodes }, (_, index) => `/api/v1/nodes/fake-${index}/proxy/metrics`),
    ...Array.from({ length: nodes }, (_, index) => `/api/v1/nodes/fake-${index}/proxy/metrics/resource`),
  ];
  let bytes = 0;
  const round = async () => {
    const texts = await Promise.all(
      paths.map(async (path) => {
        const answer = await cluster.fetch(path);
        const text = await answer.text();
        if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${text.slice(0, 200)}`);
        return text;
      }),
    );
    bytes = texts.reduce((sum, text) => sum + text.length, 0);
    return texts;
  };
  const [, , , state = ''] = await round();
  if (state.split('\n').filter((line) => line.startsWith('kube_pod_info{')).length < pods)
    throw new Error('the state page does not have every pod');
  await Bun.sleep(options.smoke ? pauseMs : 15_000); // what the pods' coming left to do is done
  const times: number[] = [];
  const perRound: Map<string, number>[] = [];
  for (let window = 0; window < windows; window++) {
    const idle = await usedWhile(cluster, () => Bun.sleep(rounds * pauseMs));
    const busy = await usedWhile(cluster, async () => {
      for (let index = 0; index < rounds; index++) {
        times.push(await millisOf(round));
        await Bun.sleep(pauseMs);
      }
    });
    const own = (process: string) => busy.cpuMs.get(process)! - (idle.cpuMs.get(process)! * busy.tookMs) / idle.tookMs;
    perRound.push(new Map([...cluster.pids.keys()].map((process) => [process, own(process) / rounds])));
  }
  // Of pairs of an idle and a busy while, the middle one: what a cluster does anyway comes in bursts.
  const ofRound = (process: string) => Math.max(0, median(perRound.map((one) => one.get(process)!)));
  const share = (ms: number) => (100 * ms) / (everySeconds * 1000);
  const names = [...cluster.pids.keys()];
  yield valueRow('monitoring.scrape', median(times), 'ms', '<= 200');
  yield valueRow('monitoring.scrape.p95', percentile(times, 0.95), 'ms');
  yield valueRow('monitoring.scrape.size', bytes / 1024, 'KiB');
  yield valueRow('monitoring.cpu', share(names.reduce((sum, one) => sum + ofRound(one), 0)), '% of one core', '<= 2');
  for (const one of names) yield valueRow(`monitoring.cpu.${one}`, share(ofRound(one)), '% of one core');
  const alone: number[] = [];
  for (let index = 0; index < 5; index++)
    alone.push(await millisOf(async () => (await cluster.fetch('/metrics/state')).text()));
  yield valueRow('monitoring.state', median(alone), 'ms');
}

async function fill({ client }: FakeCluster, replicas: number): Promise<void> {
  const containers = [{ name: 'program', image: 'pintle/fake:local' }];
  const seen = await watchPods(client, namespace);
  await client.create(replicationControllerKind, {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { app: name },
      template: { metadata: { labels: { app: name } }, spec: { containers } },
    },
  });
  await seen.until(`${replicas} pods run`, () => seen.count('Running') === replicas, 240_000);
  seen.stop();
}

async function usedWhile({ pids }: FakeCluster, work: () => Promise<unknown>) {
  const read = () => new Map([...pids].map(([process, pid]) => [process, cpuMs(pid)]));
  const before = read();
  const tookMs = await millisOf(work);
  const after = read();
  return { tookMs, cpuMs: new Map([...after].map(([process, ms]) => [process, ms - before.get(process)!])) };
}

function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}
