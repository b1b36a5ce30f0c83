// What installed plugins contribute to a node, with real processes: crash, hang, upgrade, pause, uninstall, two of one kind.

import { afterAll, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Scope, silentLog, systemClock } from '#base';
import type { RouteTable, ServiceProxy } from '#net/service-proxy';
import { NodeContributions } from '../core/host/carried/contributions.ts';
import { createCarriedProxy } from '../core/host/carried/proxy.ts';
import { CarriedRuntimes } from '../core/host/carried/runtimes.ts';
import { pluginKind } from '../core/host/kind.ts';
import { containerSpec } from './fixtures/container-spec.ts';
import {
  built,
  cluster,
  install,
  isGone,
  joinNode,
  phase,
  removePlace,
  sandboxed,
  statusOf,
  store,
  until,
} from './fixtures/hook-cluster.ts';
import { rejection } from './fixtures/rejection.ts';

afterAll(removePlace);
const limitMs = 120_000;
const everyNode = 'placement: "every-node",';
const level = sandboxed ? 'sandbox' : 'process';
const web = { id: 'default/web:', protocol: 'tcp', virtual: { ip: '10.96.0.1', port: 80 } } as const;
const [a, b] = ['10.1.0.2', '10.1.0.3'].map((ip) => ({ ip, port: 80, local: true }));
const table: RouteTable = { routes: [{ ...web, backends: [a!, b!] }], podRanges: ['10.1.0.0/16'] };

/** A node with a service proxy that remembers what was put in force. */
async function nodeOf(to: Awaited<ReturnType<typeof cluster>>, scope: Scope) {
  const contributions = new NodeContributions();
  const inForce: string[] = [];
  const own: ServiceProxy = {
    name: 'own',
    async apply({ routes }) {
      inForce.push(routes[0]!.backends.map(({ ip }) => ip).join());
      return { refused: [] };
    },
    purge: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  const proxy = createCarriedProxy({ own, contributions, clock: systemClock, log: silentLog });
  const joined = await joinNode(to, scope, 'node-a', {}, { contributions });
  return { contributions, proxy, inForce, ...joined };
}
/** One backend of two, by its place. */
const choosing = (place: number) =>
  `proxy({ name: "one", apply({ routes }) {
    if (globalThis.lost) process.exit(3);
    return { routes: routes.map((route) => ({ ...route, backends: route.backends.slice(${place}, ${place} + 1) })) };
  } });`;
const chooser = (version: string, setup: string) => built('chooser', setup, everyNode, version, level);

test(
  'a service proxy: in force by its plugin, kept over its crash, moved by an upgrade, given back when it goes',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    const node = await nodeOf(to, scope);
    await install(to, await chooser('1.0.0', choosing(0)));
    await phase(to, 'chooser', 'Active');
    await until('it answers', () => node.proxy.apply(table).then(() => node.inForce.at(-1) === a!.ip));
    // It dies in the middle of a call; the next one is answered by its next process.
    const dying =
      'let times = 0; proxy({ name: "one", apply({ routes }) { if (++times === 2) process.exit(3); return { routes }; } });';
    const next = await chooser('1.1.0', dying);
    store(to, next);
    const spec = { digest: next.digest, version: '1.1.0' };
    await to.client.patch(pluginKind, { name: 'chooser' }, { type: 'merge', body: { spec } });
    await until('the new one answers', () =>
      node.proxy.apply(table).then(() => node.inForce.at(-1) === `${a!.ip},${b!.ip}`),
    );
    const before = node.inForce.length;
    expect((await rejection(node.proxy.apply(table))).message).toMatch(/gave no answer: |does not run now/);
    expect(node.inForce).toHaveLength(before);
    await until('its next process answers', () => node.proxy.apply(table).then(() => node.inForce.length > before));
    await to.client.patch(pluginKind, { name: 'chooser' }, { type: 'merge', body: { spec: { paused: true } } });
    await phase(to, 'chooser', 'Paused');
    expect(node.contributions.sole('proxies')).toBeUndefined();
    await to.client.delete(pluginKind, { name: 'chooser' });
    await isGone(to, 'chooser');
    await node.proxy.apply(table);
    expect(node.inForce.at(-1)).toBe(`${a!.ip},${b!.ip}`);
  },
  limitMs,
);

test(
  'one that hangs is waited for until its limit, and killed for its silence',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    const node = await nodeOf(to, scope);
    const hanging = 'proxy({ name: "one", apply() { for (;;); } });';
    await install(to, await chooser('1.0.0', hanging));
    await until('it is there', async () => node.contributions.sole('proxies')?.contributor.target.isResponsive);
    expect((await rejection(node.proxy.apply(table))).message).toContain('gave no answer');
    expect(node.inForce).toEqual([]);
    const status = await until('it was killed', async () => {
      const seen = await statusOf(to, 'chooser');
      return (seen?.restarts ?? 0) > 0 && seen;
    });
    expect(status.nodes?.[0]?.restarts).toBeGreaterThan(0);
  },
  limitMs,
);

test(
  'of two proxies the first is used and the other says so; what a driver keeps for pods outlives its plugin',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    const node = await nodeOf(to, scope);
    await install(to, await chooser('1.0.0', choosing(0)));
    await phase(to, 'chooser', 'Active');
    await Bun.sleep(1_100); // creation times are whole seconds
    const disks = `proxy({ name: "two", apply: () => ({ routes: [] }) });
      volume({ name: "d.example.com", publish: () => ({ type: "memory", sizeBytes: 4096 }), unpublish() {}, list: () => [] });
      if (nodeName) { const home = process.env.HOME; mkdirSync(home + "/volumes/v1", { recursive: true }); writeFileSync(home + "/other", "x"); }`;
    await install(
      to,
      await built('disks', disks, everyNode, '1.0.0', level, 'import { mkdirSync, writeFileSync } from "node:fs";'),
    );
    await until('it says why', async () => {
      const { conditions = [] } = (await statusOf(to, 'disks')) ?? {};
      const degraded = conditions.find(({ type }) => type === 'Degraded');
      return degraded?.message === 'service proxy two is not used: plugin chooser provides one already';
    });
    expect((await phase(to, 'disks', 'Active')).conditions?.find(({ type }) => type === 'Degraded')?.reason).toBe(
      'NotUsed',
    );
    const state = join(node.place, 's', 'disks', 'state');
    await until('it has its folder', async () => existsSync(join(state, 'other')));
    await to.client.delete(pluginKind, { name: 'disks' });
    await isGone(to, 'disks');
    await until('the rest is gone', async () => !existsSync(join(state, 'other')));
    expect(existsSync(join(state, 'volumes', 'v1'))).toBe(true);
  },
  limitMs,
);

test(
  'a container runtime behind a real channel: verbs, failures and streams',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    const { contributions } = await nodeOf(to, scope);
    const fake = join(import.meta.dir, '../core/kubelet/runtimes/fake.ts');
    const base = join(import.meta.dir, '../core/base/index.ts');
    const before = `import { createFakeRuntime } from ${JSON.stringify(fake)};
      import { systemClock, systemRandom } from ${JSON.stringify(base)};`;
    const setup = `runtime({ name: "play", open: () => createFakeRuntime({ clock: systemClock, random: systemRandom }) });
      network({ name: "tunnels", overheadBytes: 9, prepare: () => ({}), sync: () => ({ work: {} }) });`;
    await install(to, await built('engines', setup, everyNode, '1.0.0', 'process', before));
    await phase(to, 'engines', 'Active');
    expect(contributions.owner('networks', 'tunnels')?.manifest.networks).toEqual([
      { name: 'tunnels', overheadBytes: 9 },
    ]);
    const runtimes = new CarriedRuntimes({ contributions, own: [], isPodNetns: async () => true });
    const runtime = await until('it is there', async () => runtimes.get('play'));
    const signal = new AbortController().signal;
    expect(await rejection(runtime.ensureImage('pintle/absent:local', 'Never', signal))).toMatchObject({
      reason: 'ErrImageNeverPull',
    });
    const image = await runtime.ensureImage('demo:1', 'IfNotPresent', signal);
    const pod = { podUid: 'u1', podName: 'p', podNamespace: 'default' };
    await runtime.ensureSandbox({ ...pod, hostname: 'p', network: 'pod', attempt: 0 });
    const id = await runtime.create(
      containerSpec({
        ...pod,
        imageId: image.id,
        image: 'demo:1',
        command: ['sh', '-c', 'echo out; echo err >&2; exit 3'],
      }),
    );
    await runtime.start(id);
    const lines: string[] = [];
    for await (const { stream, bytes } of runtime.logs(id, { follow: true }, signal))
      lines.push(`${stream} ${Buffer.from(bytes).toString().trim()}`);
    expect(lines.sort()).toEqual(['stderr err', 'stdout out']);
    expect((await runtime.observe('u1')).containers).toMatchObject([{ id, exitCode: 3 }]);
  },
  limitMs,
);
