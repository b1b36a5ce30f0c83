// What is left of a plugin: its data, unless it is to go; and nothing that holds it up.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configMapKind, type Kind, type KubeObject } from '#api';
import { Scope } from '#base';
import { pluginKind } from '../core/host/kind.ts';
import { definitionKind } from '../core/host/provision.ts';
import {
  askFor,
  builtPlugin,
  type PluginCluster,
  pluginCluster,
  runsVersion,
  startHost,
  until,
} from './fixtures/plugin-cluster.ts';
import { rejection } from './fixtures/rejection.ts';

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'ptn-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const holdKind = {
  group: 'holds.example.com',
  version: 'v1',
  kind: 'Hold',
  plural: 'holds',
  singular: 'hold',
  namespaced: true,
  type: 'holds.example.com/v1.Hold',
} as Kind<KubeObject>;
const key = { namespace: 'default', name: 'one' };
const built = (finalize: string) =>
  builtPlugin(place, {
    name: 'holder',
    head: 'const Hold = crd({ group: "holds.example.com", kind: "Hold", version: "v1", spec: t.object({}) });',
    more: 'needs: { configmaps: ["create"] }, resources: [Hold], config: t.object({ most: t.int().max(9).optional() }),',
    setup: `reconcile(Hold, { finalize: async ({ metadata }: any) => { ${finalize} } }, async () => {});`,
  });
async function withOne(to: PluginCluster, finalize: string): Promise<void> {
  await askFor(to, await built(finalize));
  await runsVersion(to, 'holder', '1.0.0');
  await to.client.create(holdKind, {
    apiVersion: 'holds.example.com/v1',
    kind: 'Hold',
    metadata: key,
    spec: {},
  } as KubeObject);
  await until('held', async () => (await to.client.get(holdKind, key)).metadata.finalizers?.length === 1);
}
const remove = async (to: PluginCluster, dataPolicy: 'Keep' | 'Delete'): Promise<void> => {
  await to.client.patch(pluginKind, { name: 'holder' }, { type: 'merge', body: { spec: { dataPolicy } } });
  await to.client.delete(pluginKind, { name: 'holder' });
  await until('it is gone', async () => (await to.client.list(pluginKind)).items.length === 0);
};
const note =
  'await api.configmaps.create({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "finalized", namespace: "default" } });';

test('with its data: objects are finalized while it still runs, then all is gone', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  await withOne(to, note);
  await remove(to, 'Delete');
  expect((await to.client.get(configMapKind, { namespace: 'default', name: 'finalized' })).metadata.name).toBe(
    'finalized',
  );
  expect(await rejection(to.client.get(definitionKind, { name: 'holds.example.com' }))).toMatchObject({ code: 404 });
}, 60_000);

test('one that does not run holds nothing up: its finalizers go with it', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  await withOne(to, note);
  await to.client.patch(pluginKind, { name: 'holder' }, { type: 'merge', body: { spec: { paused: true } } });
  await until('paused', async () => (await to.client.get(pluginKind, { name: 'holder' })).status?.phase === 'Paused');
  await remove(to, 'Delete');
  await until('the definition is gone', async () =>
    to.client.get(definitionKind, { name: 'holds.example.com' }).then(
      () => false,
      (error: { code: number }) => error.code === 404,
    ),
  );
}, 60_000);

test('without: definition and objects stay', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  await withOne(to, note);
  await remove(to, 'Keep');
  const kept = await to.client.get(holdKind, key);
  expect([kept.metadata.name, kept.metadata.finalizers ?? []]).toEqual(['one', []]); // nobody is left to finalize it
}, 60_000);

test('without: what is on its way out is finalized before the plugin goes', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  await withOne(to, `await new Promise((next) => setTimeout(next, 1_000)); ${note}`);
  await to.client.delete(holdKind, key);
  await remove(to, 'Keep');
  const finalized = await to.client.get(configMapKind, { namespace: 'default', name: 'finalized' });
  expect(finalized.metadata.name).toBe('finalized');
  expect((await rejection(to.client.get(holdKind, key))) as unknown).toMatchObject({ code: 404 });
}, 60_000);

test('a configuration that its schema refuses does not start it, whoever wrote it', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  await askFor(to, await built(''), { config: { most: 10, mots: 1 } });
  const status = await until('refused', async () => {
    const { status } = await to.client.get(pluginKind, { name: 'holder' });
    return status?.phase === 'Failed' && status;
  });
  const condition = status.conditions?.find(({ reason }) => reason === 'BadConfig');
  expect(condition?.message).toContain('config.mots: there is no such field');
  expect(condition?.message).toContain('config.most in body should be less than or equal to 9');
}, 60_000);
