// Upgrades of plugins: two versions side by side, one of them acts; and what happens when it goes wrong or is cut short.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configMapKind, type Kind, type KubeObject } from '#api';
import { Scope } from '#base';
import type { StartStep } from '../core/host/host.ts';
import {
  askFor,
  builtPlugin,
  type PluginCluster,
  pluginCluster,
  pluginStatus,
  runsVersion,
  startHost,
  until,
} from './fixtures/plugin-cluster.ts';

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'ptu-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** Its controller writes into each Note which version has acted last, and a map for each version that did. */
const head = (spec: string) =>
  `const Note = crd({ group: "notes.example.com", kind: "Note", version: "v1", spec: t.object({ ${spec} }), status: t.object({ by: t.string() }) });`;
const needs = 'needs: { configmaps: ["create", "get", "list", "watch"] }, resources: [Note],';
const acts = (version: string) =>
  `reconcile(Note, {}, async (note: any, { status, again }: any) => { await status({ by: "${version}" }); return again(50); });`;
const tries = (name: string) =>
  `void (async () => { for (;;) { let text = "allowed"; try { await api.configmaps.create({ apiVersion: "v1", kind: "ConfigMap", metadata: { generateName: "${name}-", namespace: "default" } }); } catch (e: any) { text = e.reason; } if (text === "allowed") break; await new Promise((done) => setTimeout(done, 20)); } })();`;
const version = (number: string, setup = '', spec = 'text: t.string()') =>
  builtPlugin(place, { name: 'noter', version: number, head: head(spec), more: needs, setup: acts(number) + setup });

const noteKind = {
  group: 'notes.example.com',
  version: 'v1',
  kind: 'Note',
  plural: 'notes',
  singular: 'note',
  namespaced: true,
  type: 'notes.example.com/v1.Note',
} as Kind<KubeObject & { spec?: unknown; status?: { by?: string } }>;
const key = { namespace: 'default', name: 'one' };
const makeNote = (to: PluginCluster, spec: object = { text: 'x' }) =>
  to.client.create(noteKind, {
    apiVersion: 'notes.example.com/v1',
    kind: 'Note',
    metadata: key,
    spec,
  });
const isBy = (to: PluginCluster, number: string) =>
  until(`the note is by ${number}`, async () => (await to.client.get(noteKind, key)).status?.by === number);
const conditionOf = async (to: PluginCluster, type: string) =>
  (await pluginStatus(to.client, 'noter'))?.conditions?.find((one) => one.type === type);

test('the newer version starts beside the older one, which acts until it is fenced', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  const seen: string[] = [];
  const refused: string[] = [];
  const onStep = async (_name: string, step: StartStep) => {
    if (step === 'health' || step === 'drain') {
      const { status } = await to.client.get(noteKind, key);
      const { items } = await to.client.list(configMapKind, { namespace: 'default' });
      seen.push(`${step}: ${status?.by}, ${items.filter(({ metadata }) => metadata.name?.startsWith('two-')).length}`);
    }
  };
  await startHost(to, scope, { onStep });
  await askFor(to, await version('1.0.0'));
  await runsVersion(to, 'noter', '1.0.0');
  await makeNote(to);
  await isBy(to, '1.0.0');
  await askFor(to, await version('1.1.0', tries('two')));
  const status = await runsVersion(to, 'noter', '1.1.0');
  await isBy(to, '1.1.0');
  // Before the hand-over the newer one could not write, though its setup() tried all the time.
  expect([seen, refused]).toEqual([['health: 1.0.0, 0', expect.stringContaining('drain:')], []]);
  await until('its write', async () => {
    const { items } = await to.client.list(configMapKind, { namespace: 'default' });
    return items.some(({ metadata }) => metadata.name?.startsWith('two-'));
  });
  expect(status.lastGood?.version).toBe('1.1.0');
  expect(status.previous?.version).toBe('1.0.0');
  expect(status.probation?.fallback.version).toBe('1.0.0');
});

test('one that does not start leaves the older one running, which never stopped', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  await askFor(to, await version('1.0.0'));
  await runsVersion(to, 'noter', '1.0.0');
  await makeNote(to);
  await askFor(to, await version('1.1.0', 'if (!process.argv.includes("--record")) throw new Error("boom");'));
  await until('given up', async () => (await conditionOf(to, 'Loaded'))?.reason === 'RolledBack');
  const status = await runsVersion(to, 'noter', '1.0.0');
  expect(status.restarts).toBe(0);
  expect((await conditionOf(to, 'Loaded'))?.message).toContain('boom; 1.0.0 goes on');
  // A host that comes later knows it, and does not try again.
  await using later = new Scope();
  await startHost(await sameCluster(to), later);
  await runsVersion(to, 'noter', '1.0.0');
});

test('in probation a crash loop brings the older one back, with the rights it had', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  await askFor(to, await version('1.0.0'));
  await runsVersion(to, 'noter', '1.0.0');
  await until('good', async () => (await pluginStatus(to.client, 'noter'))?.lastGood?.version === '1.0.0');
  await makeNote(to);
  const bad = await builtPlugin(place, {
    name: 'noter',
    version: '1.1.0',
    head: head('text: t.string()'),
    more: 'resources: [Note],',
    setup: 'reconcile(Note, {}, async () => { process.exit(3); });',
  });
  await askFor(to, bad, { approvedNeeds: {} });
  await until('rolled back', async () => (await conditionOf(to, 'Loaded'))?.reason === 'RolledBack', 60_000);
  const status = await runsVersion(to, 'noter', '1.0.0');
  expect(status.lastGood?.version).toBe('1.0.0');
  expect((await conditionOf(to, 'Loaded'))?.message).toContain('1.0.0 runs instead');
  const role = await to.client.request<{ rules: { resources: string[] }[] }>(
    'GET',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/pintle:plugin:noter',
  );
  expect(role.rules.some(({ resources }) => resources.includes('configmaps'))).toBe(true);
});

test.each<[string, string, string]>([
  ['a new required field', 'text: t.string(), more: t.string()', '.spec.more is required now'],
  ['a removed field', 'other: t.string().optional()', '.spec.text is removed'],
  ['a tightened bound', 'text: t.string().max(3)', 'maxLength changes from none to 3'],
])('%s in a definition is refused, and the older version goes on', async (_what, spec, reason) => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  await askFor(to, await version('1.0.0'));
  await runsVersion(to, 'noter', '1.0.0');
  await askFor(to, await version('2.0.0', '', spec));
  await until('refused', async () => (await conditionOf(to, 'Resolved'))?.reason === 'BreakingChange');
  expect((await conditionOf(to, 'Resolved'))?.message).toContain(reason);
  await runsVersion(to, 'noter', '1.0.0');
});

test('a rule that stored objects do not meet is refused with their names; going back keeps the newer definition', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  await startHost(to, scope);
  const first = await version('1.0.0');
  await askFor(to, first);
  await runsVersion(to, 'noter', '1.0.0');
  await makeNote(to, { text: 'much too long' });
  await askFor(to, await version('1.1.0', '', 'text: t.string().rule("size(self) < 5", "must be short")'));
  await until('refused', async () => (await conditionOf(to, 'Resolved'))?.reason === 'StoredObjectsUnfit');
  expect((await conditionOf(to, 'Resolved'))?.message).toContain('default/one: spec.text');
  await askFor(to, await version('1.2.0', '', 'text: t.string(), more: t.string().optional()'));
  await runsVersion(to, 'noter', '1.2.0');
  await to.client.patch(noteKind, key, { type: 'merge', body: { spec: { more: 'kept' } } });
  await askFor(to, first);
  await runsVersion(to, 'noter', '1.0.0');
  expect((await to.client.get(noteKind, key)).spec).toEqual({ text: 'much too long', more: 'kept' });
});

/** The same API server and folders, for another host. */
const sameCluster = async (to: PluginCluster): Promise<PluginCluster> => ({
  ...to,
  run: mkdtempSync(join(place, 'r-')),
});

test.each<StartStep>(['verify', 'kinds', 'identity', 'start', 'health', 'fence', 'promote', 'drain'])(
  'a host killed before the step %s of an upgrade: its successor ends it, and one version acts',
  async (at) => {
    await using scope = new Scope();
    const to = await pluginCluster(scope, place);
    let stops = false;
    const reached = Promise.withResolvers<void>();
    const killed = Promise.withResolvers<void>();
    const onStep = (_name: string, step: StartStep): Promise<void> | void => {
      if (!stops || step !== at) return;
      reached.resolve();
      return killed.promise;
    };
    const first = await startHost(to, scope, { onStep });
    await askFor(to, await version('1.0.0'));
    await runsVersion(to, 'noter', '1.0.0');
    await makeNote(to);
    await isBy(to, '1.0.0');
    stops = true;
    await askFor(to, await version('1.1.0'));
    await reached.promise;
    first.kill();
    killed.reject(new Error('killed here'));
    await startHost(await sameCluster(to), scope);
    await runsVersion(to, 'noter', '1.1.0');
    await isBy(to, '1.1.0');
  },
);

test('a host that ends in the middle of a start waits for it: nothing comes up behind its end', async () => {
  await using scope = new Scope();
  const to = await pluginCluster(scope, place);
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const onStep = (_name: string, step: StartStep): Promise<void> | void => {
    if (step !== 'start') return;
    reached.resolve();
    return goOn.promise;
  };
  const { host } = await startHost(to, scope, { onStep });
  await askFor(to, await version('1.0.0'));
  await reached.promise;
  let isOver = false;
  const ending = host[Symbol.asyncDispose]().then(() => (isOver = true));
  for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
  expect(isOver).toBe(false);
  goOn.resolve();
  await ending;
  expect(existsSync(join(to.folder, 'noter', 'state'))).toBe(false); // its process has never been
});
