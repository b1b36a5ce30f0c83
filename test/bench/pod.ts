import { type Pod, podKind } from '#api';
import type { Client } from '#client';
import { watchPods } from './parts/api.ts';
import { type BenchCluster, type BenchEngine, benchCluster, benchEngine, demoImage } from './parts/cluster.ts';
import { type BenchOptions, interleave, millisOf, type Row, ratioRow, until } from './parts/row.ts';

/**
 * Figures `pod`: from the create request to Running as a watch shows it, against the engine itself asked over its
 * socket for the same two containers (pause and program, the settings that the kubelet gives them).
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  await using engine = await benchEngine();
  await using cluster = await benchCluster(engine);
  await using bare = await bareEngine(engine, cluster);
  const bench = new PodBench(cluster.client, bare.settled);
  const pairs = options.smoke ? 1 : 15;
  yield ratioRow(
    'pod.one',
    'ms',
    await interleave(
      pairs,
      () => bench.run(1),
      () => bare.run(1),
    ),
    '<= 1.25',
  );
  const many = options.smoke ? 3 : 30;
  const rounds = options.smoke ? 1 : 10;
  yield ratioRow(
    'pod.thirty',
    'ms',
    await interleave(
      rounds,
      () => bench.run(many),
      () => bare.run(many),
    ),
    '<= 1.2',
  );
}

class PodBench {
  #serial = 0;
  constructor(
    private readonly client: Client,
    /** Resolves when the engine has nothing left to remove: else it would work for us on the other's time. */
    private readonly settled: () => Promise<void>,
  ) {}

  /** Milliseconds from the first create to the last Running. Everything is gone again when it resolves. */
  async run(count: number): Promise<number> {
    const names = Array.from({ length: count }, () => `bench-${this.#serial++}`);
    const seen = await watchPods(this.client, 'default');
    const others = seen.count('Running');
    const tookMs = await millisOf(async () => {
      await Promise.all(names.map((name) => this.client.create(podKind, podOf(name))));
      await seen.until('all run', () => seen.count('Running') === others + count);
    });
    seen.stop();
    const key = (name: string) => ({ namespace: 'default', name });
    await Promise.all(names.map((name) => this.client.delete(podKind, key(name), { gracePeriodSeconds: 0 })));
    await this.settled();
    return tookMs;
  }
}

const podOf = (name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'program', image: demoImage, command: ['sleep', '1000'] }],
  },
});

type Ask = (method: string, path: string, body?: object) => Promise<unknown>;
interface Inspected {
  readonly Config: { Labels: Record<string, string> };
  readonly HostConfig: { NetworkMode: string; IpcMode: string; PidMode: string };
}

/** The engine without us: the same bodies by plain HTTP on its socket. */
async function bareEngine(engine: BenchEngine, { client, config }: BenchCluster) {
  const ask: Ask = async (method, path, body) => {
    const response = await fetch(`http://localhost${path}`, {
      unix: engine.socketPath,
      method,
      ...(body ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } } : {}),
    });
    const text = await response.text();
    if (!response.ok && response.status !== 304) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : {};
  };
  const model = await modelPod(client, ask);
  let serial = 0;
  let made: string[] = [];
  const create = async (name: string, body: object): Promise<string> => {
    const { Id } = (await ask('POST', `/containers/create?name=${name}`, body)) as { Id: string };
    made.push(Id);
    await ask('POST', `/containers/${Id}/start`);
    return Id;
  };
  const pod = async () => {
    const name = `pintle-bench-${process.pid}-${serial++}`;
    const sandbox = await create(`${name}-pause`, model.sandbox);
    await create(name, model.programIn(sandbox));
  };
  const clean = async () => {
    const all = made;
    made = [];
    await Promise.all(all.map((id) => ask('DELETE', `/containers/${id}?force=1&v=1`)));
  };
  const ours = encodeURIComponent(JSON.stringify({ label: [`pintle.cluster=${config.clusterId}`] }));
  const left = async () => ((await ask('GET', `/containers/json?all=1&filters=${ours}`)) as unknown[]).length;
  return {
    settled: () => until('only the model pod is left', async () => (await left()) === 2, 120_000, 50),
    async run(count: number): Promise<number> {
      const tookMs = await millisOf(() => Promise.all(Array.from({ length: count }, pod)));
      await clean();
      return tookMs;
    },
    async [Symbol.asyncDispose]() {
      await clean();
      await model.remove();
    },
  };
}

/** What the kubelet asked the engine for, read back from a pod that it made; the pod stays, for its files are mounted. */
async function modelPod(client: Client, ask: Ask) {
  const key = { namespace: 'default', name: 'bench-model' };
  await client.create(podKind, podOf(key.name));
  await until('a first pod runs', async () => (await client.get(podKind, key)).status?.phase === 'Running');
  const { uid } = (await client.get(podKind, key)).metadata;
  const filters = encodeURIComponent(JSON.stringify({ label: [`pintle.pod.uid=${uid}`] }));
  const rows = (await ask('GET', `/containers/json?filters=${filters}`)) as {
    Id: string;
    Labels: Record<string, string>;
  }[];
  const bodyOf = async (type: string) => {
    const { Id } = rows.find(({ Labels }) => Labels['pintle.type'] === type)!;
    const { Config, HostConfig } = (await ask('GET', `/containers/${Id}/json`)) as Inspected;
    const Labels = { ...Config.Labels, 'pintle.cluster': 'none' }; // else the kubelet takes them for its own
    return { id: Id, body: { ...Config, Labels, HostConfig } };
  };
  const [sandbox, program] = [await bodyOf('sandbox'), await bodyOf('container')];
  const inside = (mode: string, id: string) => mode.replace(sandbox.id, id);
  return {
    sandbox: sandbox.body,
    programIn(id: string) {
      const { NetworkMode, IpcMode, PidMode } = program.body.HostConfig;
      const modes = {
        NetworkMode: inside(NetworkMode, id),
        IpcMode: inside(IpcMode, id),
        PidMode: inside(PidMode, id),
      };
      return {
        ...program.body,
        Hostname: '',
        ExposedPorts: undefined,
        HostConfig: { ...program.body.HostConfig, ...modes },
      };
    },
    remove: () => client.delete(podKind, key, { gracePeriodSeconds: 0 }),
  };
}
