import { systemExec } from '#base';
import { createNftablesProxy } from '../../net/proxies/nftables.ts';
import type { Route } from '../../net/service-proxy.ts';

export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  readonly ratio?: number;
  readonly judge: 'ratio' | 'value';
  readonly target?: string;
  readonly ok?: boolean;
}
const services = 10_000;
const changes = 100;
const podRanges = ['10.128.0.0/9'];
const route = (index: number, port: number): Route => ({
  id: `default/s${index}:`,
  protocol: 'tcp',
  virtual: { ip: `10.96.${index >> 8}.${index & 255}`, port: 80 },
  backends: [0, 1].map((one) => ({ ip: `10.${128 + one}.${index >> 8}.${index & 255}`, port, local: true })),
});

/** 10,000 services with 2 endpoints each in a namespace of its own: full sync and one change. Needs root, nft and ip. Connection latency is not measured here yet. */
export async function* run(): AsyncIterable<Row> {
  const name = `ptb${process.pid % 10_000}`;
  const added = await systemExec.run(['ip', 'netns', 'add', name]);
  if (added.code !== 0) throw new Error(`cannot make a network namespace: ${added.stderr}`);
  const proxy = createNftablesProxy({ tableName: `pintle_${name}`, exec: systemExec, netns: `/run/netns/${name}` });
  try {
    const routes = Array.from({ length: services }, (_, index) => route(index, 8080));
    const timed = async (): Promise<number> => {
      const start = performance.now();
      await proxy.apply({ routes, podRanges });
      return performance.now() - start;
    };
    const full = await timed();
    yield { name: 'proxy-full-sync', value: full, unit: 'ms', judge: 'value', target: '<= 1000', ok: full <= 1_000 };
    const times: number[] = [];
    for (let index = 0; index < changes; index++) {
      routes[index] = route(index, 8081);
      times.push(await timed());
    }
    times.sort((a, b) => a - b);
    const [p50, p99] = [times[changes / 2]!, times[Math.ceil(changes * 0.99) - 1]!];
    yield { name: 'proxy-change-p50', value: p50, unit: 'ms', judge: 'value', target: '<= 5', ok: p50 <= 5 };
    yield { name: 'proxy-change-p99', value: p99, unit: 'ms', judge: 'value', target: '<= 15', ok: p99 <= 15 };
  } finally {
    await proxy[Symbol.asyncDispose]();
    await systemExec.run(['ip', 'netns', 'del', name]);
  }
}
if (import.meta.main) for await (const row of run()) console.log(JSON.stringify(row));
