// Plugins on nodes: one instance for each, run by the node's own host with the node's own rights.
import { afterAll, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { clusterRoleKind, nodeKind } from '#api';
import { Scope } from '#base';
import { type PluginObject, pluginKind } from '../core/host/kind.ts';
import {
  built,
  type Cluster,
  cluster,
  install,
  isGone,
  joinNode,
  note,
  noted,
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
const everyNode = 'placement: "every-node", needs: { configmaps: ["create"] },';
const agent = (version: string, setup = '', more = everyNode, level = 'process') =>
  built('agent', setup, more, version, level);
const saying = `metrics.counter("seen_total", "Seen.").inc(3); void (async () => { const key = "on-" + nodeName; ${note('', 'nodeName').replace('""', 'key')} })();`;
const onNodes = (to: Cluster, wanted: Readonly<Record<string, string>>) =>
  until(JSON.stringify(wanted), async () => {
    const { nodes = [] } = (await statusOf(to, 'agent')) ?? {};
    const seen = Object.fromEntries(nodes.map(({ name, phase, version }) => [name, `${phase} ${version ?? '-'}`]));
    return Bun.deepEquals(seen, wanted) && [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1));
  });
const rolledBack = (to: Cluster, words: string) =>
  until(words, async () => {
    const { conditions } = (await statusOf(to, 'agent')) ?? {};
    return conditions?.some(({ reason, message }) => reason === 'RolledBack' && message.includes(words));
  });
const upgrade = async (to: Cluster, bundle: Awaited<ReturnType<typeof agent>>) => {
  store(to, bundle);
  const { version, needs } = bundle.manifest;
  const spec = { digest: bundle.digest, version, approvedNeeds: needs };
  await to.client.patch(pluginKind, { name: 'agent' }, { type: 'merge', body: { spec } });
};

test(
  'every node has an instance that knows its node; one that comes later too; nothing stays behind',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    const first = await joinNode(to, scope, 'node-a');
    await joinNode(to, scope, 'node-b');
    await install(to, await agent('1.0.0', saying, everyNode, sandboxed ? 'sandbox' : 'process'));
    const status = await phase(to, 'agent', 'Active');
    expect(status).toMatchObject({ placement: 'every-node', activeVersion: '1.0.0', restarts: 0 });
    expect(await noted(to, 'on-node-a')).toBe('node-a');
    expect(await noted(to, 'on-node-b')).toBe('node-b');
    if (sandboxed) expect(JSON.stringify(status.nodes?.[0]?.sandbox)).toContain('no_new_privs');
    await until('metrics of that node', async () => first.host.metricsText().includes('seen_total{plugin="agent"} 3'));
    await joinNode(to, scope, 'node-c');
    expect(await noted(to, 'on-node-c')).toBe('node-c');
    await onNodes(to, { 'node-a': 'Active 1.0.0', 'node-b': 'Active 1.0.0', 'node-c': 'Active 1.0.0' });
    expect(existsSync(join(first.place, 's', 'agent'))).toBe(true);
    await to.client.delete(pluginKind, { name: 'agent' });
    await isGone(to, 'agent');
    await until('no trace', async () => !existsSync(join(first.place, 's', 'agent')));
    expect(existsSync(join(first.place, 'r', 'agent'))).toBe(false);
  },
  limitMs,
);

test(
  'named nodes: by name and by label, and they leave when they are chosen no more',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    for (const [name, labels] of [
      ['node-a', {}],
      ['node-b', { disk: 'ssd' }],
      ['node-c', {}],
    ] as const)
      await joinNode(to, scope, name, labels);
    const bundle = await agent('1.0.0', '', 'placement: "named-nodes",');
    await install(to, bundle, { nodes: { names: ['node-a'], matchLabels: { disk: 'ssd' } } });
    await phase(to, 'agent', 'Active');
    await onNodes(to, { 'node-a': 'Active 1.0.0', 'node-b': 'Active 1.0.0' });
    await to.client.patch(pluginKind, { name: 'agent' }, { type: 'merge', body: { spec: { nodes: { names: null } } } });
    await onNodes(to, { 'node-b': 'Active 1.0.0' });
    await to.client.patch(pluginKind, { name: 'agent' }, { type: 'merge', body: { spec: { paused: true } } });
    await phase(to, 'agent', 'Paused');
    await to.client.patch(
      pluginKind,
      { name: 'agent' },
      { type: 'merge', body: { spec: { nodes: null, paused: false } } },
    );
    await onNodes(to, {});
    expect(JSON.stringify((await phase(to, 'agent', 'Starting')).conditions)).toContain('no node is chosen');
  },
  limitMs,
);

test(
  'an upgrade goes node by node; the first that does badly brings the former version back; the next one mends it',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    await joinNode(to, scope, 'node-a');
    const last = await joinNode(to, scope, 'node-b');
    await install(to, await agent('1.0.0'));
    await phase(to, 'agent', 'Active');
    await upgrade(to, await agent('1.1.0', 'if (nodeName) throw new Error("boom");'));
    await rolledBack(to, '1.1.0 was given up on node-a: 3 starts in a row failed; the last: boom; 1.0.0 runs instead');
    await onNodes(to, { 'node-a': 'Active 1.0.0', 'node-b': 'Active 1.0.0' });
    const [first] = (await statusOf(to, 'agent'))!.nodes!;
    expect([first!.restarts, first!.message]).toEqual([0, undefined]); // it went on all the time
    // A node that restarts meanwhile goes on with what it had, and one that comes later has it too.
    await last.stop();
    await joinNode(to, scope, 'node-b');
    await joinNode(to, scope, 'node-c');
    await onNodes(to, { 'node-a': 'Active 1.0.0', 'node-b': 'Active 1.0.0', 'node-c': 'Active 1.0.0' });
    expect((await phase(to, 'agent', 'Active')).activeVersion).toBe('1.0.0');
    await upgrade(to, await agent('1.2.0'));
    await onNodes(to, { 'node-a': 'Active 1.2.0', 'node-b': 'Active 1.2.0', 'node-c': 'Active 1.2.0' });
    const status = await phase(to, 'agent', 'Active');
    const { activeVersion, lastGood, previous, probation, rollback } = status;
    expect([activeVersion, lastGood?.version, previous?.version, probation?.fallback.version, rollback]).toEqual([
      '1.2.0',
      '1.2.0',
      '1.0.0',
      '1.0.0',
      undefined,
    ]);
  },
  limitMs,
);

test(
  'in probation a crash loop on one node brings the former version back on all, with the rights that it had',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    await joinNode(to, scope, 'node-a');
    await joinNode(to, scope, 'node-b');
    await install(to, await agent('1.0.0'));
    await phase(to, 'agent', 'Active');
    const crash = 'if (nodeName === "node-b") setTimeout(() => process.exit(3), 1000);';
    await upgrade(to, await agent('1.1.0', crash, everyNode.replace('"create"', '"create", "delete"')));
    await until('1.1.0 was well everywhere', async () => (await statusOf(to, 'agent'))?.probation !== undefined);
    await rolledBack(to, '1.1.0 was given up on node-b: 5 crashes within 10 minutes');
    await onNodes(to, { 'node-a': 'Active 1.0.0', 'node-b': 'Active 1.0.0' });
    const status = await phase(to, 'agent', 'Active');
    expect(status).toMatchObject({ activeVersion: '1.0.0', lastGood: { version: '1.0.0' } });
    expect([status.probation, status.previous]).toEqual([undefined, undefined]);
    const role = await to.client.get(clusterRoleKind, { name: 'pintle:plugin:agent' });
    expect(JSON.stringify(role.rules)).not.toContain('delete');
  },
  limitMs,
);

test(
  'an instance that crashes is quarantined on its node alone; a node without the bundle says so',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    await joinNode(to, scope, 'node-a');
    await joinNode(to, scope, 'node-b');
    const bundle = await agent('1.0.0', 'if (nodeName === "node-b") throw new Error("not here");');
    await install(to, bundle);
    const status = await phase(to, 'agent', 'Quarantined');
    expect(JSON.stringify(status.conditions)).toContain('node-b: Quarantined');
    const nodes = await onNodes(to, { 'node-a': 'Active 1.0.0', 'node-b': 'Quarantined 1.0.0' });
    expect(nodes[1]!.message).toContain('not here');
    const elsewhere = { ...to, folder: join(to.run, 'nothing') } as Cluster;
    await joinNode(elsewhere, scope, 'node-c');
    const all = await onNodes(to, {
      'node-a': 'Active 1.0.0',
      'node-b': 'Quarantined 1.0.0',
      'node-c': 'Failed -',
    });
    expect(all[2]!.message).toContain('hosts cannot fetch bundles from each other yet');
    await to.client.delete(nodeKind, { name: 'node-c' });
  },
  limitMs,
);

test(
  'a node may say how it is and be its plugins, and no more',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    const { client } = await joinNode(to, scope, 'node-a');
    await joinNode(to, scope, 'node-b');
    await install(to, await agent('1.0.0', '', 'placement: "named-nodes",'), { nodes: { names: ['node-a'] } });
    await phase(to, 'agent', 'Active');
    const forbidden = async (work: Promise<unknown>) =>
      expect(await rejection(work)).toMatchObject({ code: 403, reason: 'Forbidden' });
    const name = { name: 'agent' };
    const inStatus = (status: object) =>
      client.patch(pluginKind, name, { type: 'merge', body: { status } }, { subresource: 'status' });
    await forbidden(inStatus({ placement: 'every-node' }));
    await forbidden(inStatus({ nodes: [{ name: 'node-b', phase: 'Active' }] }));
    await forbidden(client.patch(pluginKind, name, { type: 'merge', body: { spec: { paused: true } } }));
    await forbidden(client.delete(pluginKind, name));
    const object = {
      apiVersion: 'plugins.pintle.dev/v1',
      kind: 'Plugin',
      metadata: name,
      spec: { digest: '', version: '' },
    };
    await forbidden(client.create(pluginKind, object as PluginObject));
    const tokenOf = async (node: string, account: string, bound?: object) =>
      to
        .clientOf(`node:${node}`)
        .request('POST', `/api/v1/namespaces/pintle-plugins/serviceaccounts/${account}/token`, {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: { expirationSeconds: 3600, ...(bound ? { boundObjectRef: bound } : {}) },
        });
    const { uid } = (await to.client.get(nodeKind, { name: 'node-a' })).metadata;
    const here = { apiVersion: 'v1', kind: 'Node', name: 'node-a', uid };
    await tokenOf('node-a', 'agent', here);
    await forbidden(tokenOf('node-a', 'agent')); // it would outlive the node
    await forbidden(tokenOf('node-b', 'agent', here));
    await forbidden(tokenOf('node-a', 'default', here));
  },
  limitMs,
);

test('what runs on nodes cannot have hooks', async () => {
  const more = 'placement: "every-node",';
  const message = (await rejection(built('judge', 'schedule({ name: "no", score: () => [] });', more))).message;
  expect(message).toContain('hooks are asked in one place, so it cannot provide schedules');
});
