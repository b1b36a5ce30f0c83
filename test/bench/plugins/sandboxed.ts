import { readdirSync, readFileSync } from 'node:fs';
import type { Kind, KubeObject } from '#api';
import { Scope } from '#base';
import { pluginKind } from '../../../core/host/kind.ts';
import {
  built,
  type Cluster,
  cluster,
  install,
  phase,
  sandboxed,
  statusOf,
  until,
} from '../../fixtures/hook-cluster.ts';
import { percentile, Skip } from '../parts/row.ts';

const crdText = `import { crd, t } from "pintle/sdk"; const Item = crd({ group: "bench.example.com", kind: "Item", version: "v1", spec: t.object({ value: t.int() }) });`;
const itemKind: Kind<KubeObject & { spec: { value: number } }> = {
  group: 'bench.example.com',
  version: 'v1',
  kind: 'Item',
  plural: 'items',
  singular: 'item',
  namespaced: true,
  type: 'bench.example.com/v1.Item',
};
const item = (index: number) => ({
  apiVersion: 'bench.example.com/v1',
  kind: 'Item',
  metadata: { name: `item-${index}`, namespace: 'default' },
  spec: { value: index },
});
async function withPlugin(scope: Scope, name: string, setup: string): Promise<Cluster> {
  if (!sandboxed) throw new Skip('needs root and unshare');
  const to = await cluster(scope);
  await install(to, await built(name, setup, 'resources: [Item],', '1.0.0', 'sandbox', crdText));
  await phase(to, name, 'Active');
  return to;
}

/** Milliseconds of one question of an API server to a sandboxed plugin, through the host, at the 99th percentile. */
export async function hookRoundTrip(calls: number): Promise<number> {
  await using scope = new Scope();
  const to = await withPlugin(scope, 'judge', 'validate(Item, ({ object }) => object.spec.value >= 0);');
  const hook = 'validate items.bench.example.com';
  await until('its hook is attached', async () => to.board.isAttached('judge'));
  const asked = {
    resource: 'items.bench.example.com',
    operation: 'CREATE',
    object: item(1),
    user: { name: 'u', groups: [] },
    dryRun: false,
  } as const;
  const times: number[] = [];
  for (let call = 0; call < calls; call++) {
    const began = performance.now();
    await to.ask('judge', hook, 'validate', asked);
    times.push(performance.now() - began);
  }
  return percentile(times.slice(calls / 10), 0.99); // the first tenth warms up
}

/** Bytes that a sandboxed plugin has for itself while it has nothing to do. */
export async function idlePrivateBytes(settleMs: number): Promise<number> {
  await using scope = new Scope();
  const to = await withPlugin(scope, 'idle', 'validate(Item, () => true); reconcile(Item, {}, async () => {});');
  const uid = /uid (\d+)/.exec((await statusOf(to, 'idle'))?.sandbox?.join(' ') ?? '')?.[1];
  await Bun.sleep(settleMs);
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!new RegExp(`^Uid:\\s+${uid}\\b`, 'm').test(readFileSync(`/proc/${pid}/status`, 'utf8'))) continue;
      const sums = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB/gm);
      return [...sums].reduce((total, [, kilobytes]) => total + Number(kilobytes) * 1024, 0);
    } catch {} // a process that has gone
  }
  throw new Error('the process of the plugin was not found');
}

/** Keys a second of a sandboxed reconcile that writes nothing, its list of all objects over the socket included. */
export async function reconcileSandboxed(keys: number): Promise<number> {
  await using scope = new Scope();
  const setup = `const began = performance.now(); let count = 0; const rate = metrics.gauge("rate", "Keys a second.");
reconcile(Item, {}, async ({ spec }) => { if (++count === ${keys}) rate.set(count / ((performance.now() - began) / 1000)); });`;
  const to = await withPlugin(scope, 'runner', setup);
  const pause = (paused: boolean) =>
    to.client.patch(pluginKind, { name: 'runner' }, { type: 'merge', body: { spec: { paused } } });
  await pause(true);
  await phase(to, 'runner', 'Paused');
  for (let index = 0; index < keys; index++) await to.client.create(itemKind, item(index));
  await pause(false);
  return await until('all keys are reconciled', async () => {
    const value = Number(/^rate\{.*\} ([\d.]+)$/m.exec(await to.ask.metricsText())?.[1] ?? 0);
    return value > 0 && value;
  });
}
