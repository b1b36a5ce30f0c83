import { join } from 'node:path';
import { type Exec, systemExec } from '#base';
import { createNftablesProxy } from '../../net/proxies/nftables.ts';
import type { Backend, Route } from '../../net/service-proxy.ts';
import { lackingForLab, TestLab } from '../fixtures/lab.ts';
import { type BenchOptions, millisOf, percentile, type Row, ratioRow, Skip, valueRow } from './parts/row.ts';
import { latency, makeNamespaces, podIp, podPort } from './parts/service-host.ts';

/**
 * Figures `services`: how soon every host of a lab follows an endpoint that becomes ready or stops to be, and 10,000 services
 * with affinity and policies in nftables, against `nft -f` of the very same rules.
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  yield* rules(options);
  yield* followed(options);
}

const podRanges = ['10.128.0.0/9'];
const changes = 100;
const changeMsMax = 30_000; // a host that has not followed by then never will
const nodePorts = 2_000;

/** Every one with affinity; of five one each with a node port, an external address for all, one that keeps clients, one with ranges, and one inside policy. */
function route(index: number, port: number): Route {
  const [high, low] = [index >> 8, index & 255];
  const backends = [0, 1].map((one): Backend => ({ ip: `10.${128 + one}.${high}.${low}`, port, local: one === 0 }));
  const ip = `203.${100 + (high >> 6)}.${high & 63}.${low}`;
  const kinds: Partial<Route>[] = [
    index < 5 * nodePorts ? { nodePort: 30_000 + index / 5 } : {},
    { external: [{ ip }] },
    { external: [{ ip }], externalLocal: backends.filter(({ local }) => local) },
    { external: [{ ip }] },
    { backends: backends.filter(({ local }) => local), retained: backends.slice(1) },
  ];
  return {
    id: `default/s${index}:`,
    protocol: 'tcp',
    virtual: { ip: `10.96.${high}.${low}`, port: 80 },
    affinityTtlMs: 10_800_000,
    backends,
    ...kinds[index % kinds.length],
  };
}

async function* rules(options: BenchOptions): AsyncIterable<Row> {
  await using host = await makeNamespaces();
  let text = '';
  const exec: Exec = {
    ...systemExec,
    run(argv, more) {
      if (argv[1] === '-f' && (more?.stdin?.length ?? 0) > 10_000) text = more!.stdin!;
      return systemExec.run(argv, more);
    },
  };
  const make = () => createNftablesProxy({ tableName: `pintle_${host.name}`, exec, netns: host.path });
  const routes = Array.from({ length: options.smoke ? 100 : 10_000 }, (_, index) => route(index, podPort));
  const last: Route = { ...route(routes.length, podPort), backends: [{ ip: podIp, port: podPort, local: true }] };
  const table = () => ({ routes: [...routes, last], podRanges });
  const byHand = async () => {
    const { code, stderr } = await systemExec.run(['nft', '-f', '-'], {
      stdin: text,
      netns: host.path,
      timeoutMs: 60_000,
    });
    if (code !== 0) throw new Error(stderr);
  };
  const pairs: [number, number][] = [];
  for (let round = 0; round < (options.smoke ? 1 : 5); round++) {
    const fresh = make(); // as at the start of a process: the whole table, with what the former one remembers
    pairs.push([await millisOf(() => fresh.apply(table())), await millisOf(byHand)]);
    await fresh[Symbol.asyncDispose]();
  }
  yield ratioRow('services.full-sync', 'ms', pairs, '<= 1.6');
  await using proxy = make();
  await proxy.apply(table());
  const times: number[] = [];
  for (let index = 0; index < Math.min(changes, routes.length); index++) {
    routes[index] = route(index, podPort + 1);
    times.push(await millisOf(() => proxy.apply(table())));
  }
  yield valueRow('services.change.p50', percentile(times, 0.5), 'ms', '<= 5');
  yield valueRow('services.change.p99', percentile(times, 0.99), 'ms', '<= 15');
  yield await latency('services.connect', host.name, last.virtual.ip, options);
}

/** From the answer to a write of a pod's status to the last host on which connections end otherwise. */
async function* followed(options: BenchOptions): AsyncIterable<Row> {
  const lacks = lackingForLab();
  if (lacks) throw new Skip(lacks);
  await using lab = new TestLab();
  await lab.ok('up', '--hosts', '3', '--yes');
  const hosts = lab.lab.hosts;
  await lab.untilReady(...hosts.map(({ name }) => name));
  const [first] = hosts;
  const backend = { ip: first!.address, port: 21_480 };
  await using server = inside(first!.netns, 'serve', backend.ip, String(backend.port));
  await server.next();
  const virtual = await makeService(lab, backend);
  const setReady = readiness(lab, backend.ip);
  await setReady(false);
  const probers = hosts.map(({ netns }) => inside(netns, 'probe', virtual, '80'));
  try {
    for (const prober of probers) await prober.until('down');
    const found: Record<'up' | 'down', number[]> = { up: [], down: [] };
    const rounds = options.smoke ? 2 : 50;
    for (let round = 0; round < 2 * rounds; round++) {
      const to = round % 2 === 0 ? 'up' : 'down';
      await setReady(to === 'up');
      const beganMs = performance.timeOrigin + performance.now();
      const times = await Promise.all(probers.map((prober) => prober.until(to)));
      found[to].push(Math.max(0, Math.max(...times) - beganMs));
    }
    yield valueRow('services.ready.p50', percentile(found.up, 0.5), 'ms');
    yield valueRow('services.ready.p99', percentile(found.up, 0.99), 'ms', '<= 250');
    yield valueRow('services.unready.p50', percentile(found.down, 0.5), 'ms');
    yield valueRow('services.unready.p99', percentile(found.down, 0.99), 'ms', '<= 250');
  } finally {
    for (const prober of probers) await prober[Symbol.asyncDispose]();
  }
}

const json = (method: string, body: object, type = 'application/json'): RequestInit => ({
  method,
  body: JSON.stringify(body),
  headers: { 'content-type': type },
});
interface Written {
  readonly kind?: string;
  readonly message?: string;
  readonly spec?: { readonly clusterIP?: string };
}
async function write(lab: TestLab, path: string, init: RequestInit): Promise<Written> {
  const answer = await lab.json<Written>(path, init);
  if (answer.kind === 'Status') throw new Error(`${path}: ${answer.message}`);
  return answer;
}

/** A node without a kubelet and a pod on it, whose status is ours to write; the service of that pod. Its address. */
async function makeService(lab: TestLab, backend: { readonly port: number }): Promise<string> {
  const status = { conditions: [{ type: 'Ready', status: 'True', reason: 'ByHand' }] }; // one that never said so is silent soon
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'by-hand' }, status };
  await write(lab, '/api/v1/nodes', json('POST', node));
  const pod = {
    metadata: { name: 'bench', labels: { app: 'bench' } },
    spec: {
      nodeName: 'by-hand',
      tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'none', image: 'none', ports: [{ containerPort: backend.port }] }],
    },
  };
  await write(lab, '/api/v1/namespaces/default/pods', json('POST', { apiVersion: 'v1', kind: 'Pod', ...pod }));
  const spec = { selector: { app: 'bench' }, ports: [{ port: 80, targetPort: backend.port }] };
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'bench' }, spec };
  return (await write(lab, '/api/v1/namespaces/default/services', json('POST', service))).spec!.clusterIP!;
}
const readiness =
  (lab: TestLab, podIP: string) =>
  async (ready: boolean): Promise<void> => {
    const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
    const body = { status: { phase: 'Running', podIP, podIPs: [{ ip: podIP }], conditions } };
    await heartbeat(lab);
    const path = '/api/v1/namespaces/default/pods/bench/status';
    await write(lab, path, json('PATCH', body, 'application/strategic-merge-patch+json'));
  };

/** Of the node by hand: the pods of a silent one are said not to be ready. */
async function heartbeat(lab: TestLab): Promise<void> {
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  const renewTime = new Date().toISOString().replace('Z', '000Z');
  const spec = { holderIdentity: 'by-hand', leaseDurationSeconds: 40, renewTime };
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'by-hand' }, spec };
  const apply = `${leases}/by-hand?fieldManager=bench&force=true`;
  await write(lab, apply, json('PATCH', lease, 'application/apply-patch+yaml'));
}

interface Inside extends AsyncDisposable {
  next(): Promise<string>;
  /** The time of the first line with that word, which may have come already. */
  until(word: string): Promise<number>;
}
function inside(netns: string, ...words: string[]): Inside {
  const script = join(import.meta.dir, 'parts/service-prober.ts');
  const child = Bun.spawn(['ip', 'netns', 'exec', netns, process.execPath, script, ...words], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  const next = async (): Promise<string> => {
    while (!rest.includes('\n')) {
      const { value, done } = await lines.read();
      if (done) throw new Error(`${words.join(' ')} ended`);
      rest += value;
    }
    const end = rest.indexOf('\n');
    const line = rest.slice(0, end);
    rest = rest.slice(end + 1);
    return line;
  };
  return {
    next,
    async until(word) {
      const late = setTimeout(() => child.kill('SIGKILL'), changeMsMax); // which ends its lines
      try {
        for (;;) {
          const [said, timeMs] = (await next()).split(' ');
          if (said === word) return Number(timeMs);
        }
      } finally {
        clearTimeout(late);
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
}
