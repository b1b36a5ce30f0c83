import { systemExec } from '#base';
import { createNftablesProxy } from '../../net/proxies/nftables.ts';
import type { Route } from '../../net/service-proxy.ts';
import { type BenchOptions, millisOf, percentile, type Row, valueRow } from './parts/row.ts';
import { latency, makeNamespaces, podIp, podPort } from './parts/service-host.ts';

const podRanges = ['10.128.0.0/9'];
const changes = 100;
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
    yield await latency('proxy.connect', host.name, last.virtual.ip, options);
  } finally {
    await proxy[Symbol.asyncDispose]();
  }
}
