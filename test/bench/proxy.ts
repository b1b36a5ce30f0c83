import { join } from 'node:path';
import { systemExec } from '#base';
import { createNftablesProxy } from '../../net/proxies/nftables.ts';
import type { Route } from '../../net/service-proxy.ts';
import {
  type BenchOptions,
  interleave,
  millisOf,
  percentile,
  type Row,
  ratioRow,
  Skip,
  valueRow,
} from './parts/row.ts';

const podRanges = ['10.128.0.0/9'];
const changes = 100;
const [hostIp, podIp, podPort] = ['10.200.0.1', '10.200.0.2', 8080];
const virtualIp = (index: number) => `10.96.${index >> 8}.${index & 255}`;
const route = (index: number, port: number): Route => ({
  id: `default/s${index}:`,
  protocol: 'tcp',
  virtual: { ip: virtualIp(index), port: 80 },
  backends: [0, 1].map((one) => ({ ip: `10.${128 + one}.${index >> 8}.${index & 255}`, port, local: true })),
});

/**
 * Figures `proxy`: 10,000 services with 2 endpoints each by nftables in a namespace of its own: full sync, one change,
 * and a connection through the last service against one straight to its endpoint in another namespace.
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  await using host = await makeNamespaces();
  const proxy = createNftablesProxy({ tableName: `pintle_${host.name}`, exec: systemExec, netns: host.path });
  try {
    const routes = Array.from({ length: options.smoke ? 100 : 10_000 }, (_, index) => route(index, podPort));
    const last = { ...route(routes.length, podPort), backends: [{ ip: podIp, port: podPort, local: true }] };
    const apply = () => millisOf(() => proxy.apply({ routes: [...routes, last], podRanges }));
    yield valueRow('proxy.full-sync', await apply(), 'ms', '<= 1000');
    const times: number[] = [];
    for (let index = 0; index < changes; index++) {
      routes[index] = route(index, podPort + 1);
      times.push(await apply());
    }
    yield valueRow('proxy.change.p50', percentile(times, 0.5), 'ms', '<= 5');
    yield valueRow('proxy.change.p99', percentile(times, 0.99), 'ms', '<= 15');
    yield await latency(host.name, last.virtual.ip, options);
  } finally {
    await proxy[Symbol.asyncDispose]();
  }
}

async function latency(name: string, virtual: string, options: BenchOptions): Promise<Row> {
  const script = join(import.meta.dir, 'parts/connect.ts');
  const inside = (namespace: string, ...words: string[]) =>
    Bun.spawn(['ip', 'netns', 'exec', namespace, process.execPath, script, ...words], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    });
  const server = inside(`${name}p`, 'serve', String(podPort));
  const client = inside(name, 'dial');
  try {
    const ready = server.stdout.getReader();
    await ready.read();
    const answers = client.stdout.getReader();
    const count = options.smoke ? 20 : 300;
    const dial = async (ip: string, port: number): Promise<number> => {
      client.stdin.write(`${ip} ${port} ${count}\n`);
      await client.stdin.flush();
      const { value } = await answers.read();
      if (!value) throw new Error('the client in the namespace ended');
      return Number(new TextDecoder().decode(value));
    };
    const pairs = await interleave(
      options.smoke ? 1 : 15,
      () => dial(virtual, 80),
      () => dial(podIp, podPort),
    );
    return ratioRow('proxy.connect', 'µs', pairs);
  } finally {
    for (const child of [client, server]) {
      child.kill();
      await child.exited;
    }
  }
}

/** The host's namespace and a pod's, joined by a link. Their removal takes the tables and the link along. */
async function makeNamespaces() {
  const name = `ptb${process.pid % 10_000}`;
  const must = async (...argv: string[]) => {
    const result = await systemExec.run(argv);
    if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr.trim()}`);
  };
  if (process.getuid?.() !== 0) throw new Skip('network namespaces need root');
  const remove = async () => {
    for (const each of [name, `${name}p`]) await systemExec.run(['ip', 'netns', 'del', each]);
  };
  try {
    await must('ip', 'netns', 'add', name);
    await must('ip', 'netns', 'add', `${name}p`);
    await must('ip', '-n', name, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', `${name}p`);
    for (const [namespace, link, ip] of [
      [name, 'v0', hostIp],
      [`${name}p`, 'v1', podIp],
    ] as const) {
      await must('ip', '-n', namespace, 'address', 'add', `${ip}/24`, 'dev', link);
      await must('ip', '-n', namespace, 'link', 'set', link, 'up');
    }
    await must('ip', '-n', name, 'route', 'add', 'default', 'via', podIp); // the virtual addresses must be routable before they are rewritten
  } catch (error) {
    await remove();
    throw error;
  }
  return { name, path: `/run/netns/${name}`, [Symbol.asyncDispose]: remove };
}
