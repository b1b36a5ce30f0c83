import { rmSync } from 'node:fs';
import { podKind, replicationControllerKind, serviceKind } from '#api';
import { connect } from '../../core/cmd/connect.ts';
import { type BenchEngine, benchEngine, demoImage, newHome, pintle } from './parts/cluster.ts';
import { type BenchOptions, median, type Row, until, valueRow } from './parts/row.ts';

interface Start {
  readonly readyMs: number;
  readonly answeringMs: number;
}

/**
 * Figures `start`: a first start on a new home with an engine running and the image present. Ready is when `up --detach`
 * comes back; answering is when the virtual address of a service over a controller of 3 pods, both created at that
 * moment, gives its first answer. And the same again on the home as it was left (`down`, `up`).
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  await using engine = await benchEngine();
  const rounds = options.smoke ? 1 : 7;
  const home = newHome();
  await pintle(engine, 'image', 'demo', '--home', home.folder); // the engine keeps it for every round
  rmSync(home.folder, { recursive: true, force: true });
  const found: Start[] = [];
  const againMs: number[] = [];
  for (let round = options.smoke ? 0 : -1; round < rounds; round++) {
    const [start, again] = await once(engine);
    if (round < 0) continue; // fills the page cache
    found.push(start);
    againMs.push(again);
  }
  yield valueRow('start.ready', median(found.map(({ readyMs }) => readyMs)), 'ms', '<= 1500');
  yield valueRow('start.service', median(found.map(({ answeringMs }) => answeringMs)), 'ms', '<= 3000');
  yield valueRow('start.again', median(againMs), 'ms');
}

async function once(engine: BenchEngine): Promise<[Start, number]> {
  const home = newHome();
  const up = () => pintle(engine, 'up', '--yes', '--detach', '--home', home.folder);
  try {
    const beganMs = performance.now();
    await up();
    const readyMs = performance.now() - beganMs;
    const answeringMs = await untilAnswering(home, beganMs);
    await pintle(engine, 'down', '--home', home.folder);
    const againMs = performance.now();
    await up();
    return [{ readyMs, answeringMs }, performance.now() - againMs];
  } finally {
    await pintle(engine, 'down', '--purge', '--yes', '--home', home.folder);
  }
}

async function untilAnswering(home: ReturnType<typeof newHome>, beganMs: number): Promise<number> {
  const client = connect(home, home.read(), 'admin');
  const labels = { app: 'bench' };
  const metadata = { name: 'bench', namespace: 'default' };
  const [, service] = await Promise.all([
    client.create(replicationControllerKind, {
      apiVersion: 'v1',
      kind: 'ReplicationController',
      metadata,
      spec: {
        replicas: 3,
        selector: labels,
        template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: demoImage }] } },
      },
    }),
    client.create(serviceKind, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ port: 8080 }] },
    }),
  ]);
  const address = `http://${service.spec?.clusterIP}:8080/`;
  const answers = async () => {
    try {
      return (await fetch(address, { signal: AbortSignal.timeout(150), keepalive: false })).ok;
    } catch {
      return false;
    }
  };
  try {
    await until('the service answers', answers, 60_000, 10);
  } catch (error) {
    const pods = (await client.list(podKind, { namespace: 'default' })).items.map(({ status }) => status?.phase);
    throw new Error(`${error} (pods: ${pods.join(' ')})`);
  }
  return performance.now() - beganMs;
}
