// Plugins that require others: their order, what is missing, and circles.
import { afterAll, expect, test } from 'bun:test';
import { Scope } from '#base';
import { pluginKind } from '../core/host/kind.ts';
import { built, type Cluster, cluster, install, phase, removePlace, statusOf, until } from './fixtures/hook-cluster.ts';

afterAll(removePlace);
const requiring = (name: string, ...others: string[]) => built(name, '', `requires: ${JSON.stringify(others)},`);
const resolved = async (to: Cluster, name: string) =>
  (await statusOf(to, name))?.conditions?.find(({ type }) => type === 'Resolved');
const says = (to: Cluster, name: string, reason: string) =>
  until(`${name} says ${reason}`, async () => {
    const condition = await resolved(to, name);
    return condition?.reason === reason && condition.message;
  });

test('it waits for what it requires to be there and active, and goes on when that ends', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const bundle = await requiring('upper', 'lower');
  expect(bundle.manifest.requires).toEqual(['lower']);
  await install(to, bundle);
  expect(await says(to, 'upper', 'RequirementMissing')).toBe('it requires lower: not installed');
  await install(to, await built('lower', ''), { paused: true });
  expect(await says(to, 'upper', 'RequirementNotReady')).toBe('it requires lower: not active yet');
  expect((await statusOf(to, 'upper'))?.activeVersion).toBeUndefined();
  await to.client.patch(pluginKind, { name: 'lower' }, { type: 'merge', body: { spec: { paused: false } } });
  await phase(to, 'upper', 'Active');
  await phase(to, 'lower', 'Active');
  await to.client.patch(pluginKind, { name: 'lower' }, { type: 'merge', body: { spec: { paused: true } } });
  await phase(to, 'lower', 'Paused');
  expect((await statusOf(to, 'upper'))?.phase).toBe('Active');
}, 60_000);

test('a circle is refused with its path, until somebody breaks it', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  await install(to, await requiring('one', 'two'));
  await install(to, await requiring('two', 'three'));
  await install(to, await requiring('three', 'one'));
  expect(await says(to, 'one', 'RequirementCycle')).toBe(
    'plugins require each other in a circle: one → two → three → one',
  );
  await says(to, 'three', 'RequirementCycle');
  const free = await built('three', '', '', '1.1.0');
  await install(to, free).catch(() => {});
  await to.client.patch(
    pluginKind,
    { name: 'three' },
    { type: 'merge', body: { spec: { digest: free.digest, version: '1.1.0' } } },
  );
  for (const name of ['three', 'two', 'one']) await phase(to, name, 'Active');
}, 60_000);

test('two that conflict never run together, whichever says so; the later one waits until the other is out', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  await install(to, await built('first', ''));
  await phase(to, 'first', 'Active');
  await install(to, await built('second', '', 'conflicts: ["first"],'));
  expect(await says(to, 'second', 'Conflict')).toBe(
    'it conflicts with first, which is installed: uninstall or pause one of the two',
  );
  await to.client.patch(pluginKind, { name: 'first' }, { type: 'merge', body: { spec: { paused: true } } });
  await phase(to, 'second', 'Active');
  await to.client.patch(pluginKind, { name: 'first' }, { type: 'merge', body: { spec: { paused: false } } });
  expect(await says(to, 'first', 'Conflict')).toContain('conflicts with second');
}, 60_000);

test('one that replaces another starts when that is gone, and has its kinds and objects', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const ware =
    'import { crd, t } from "pintle/sdk"; const Ware = crd({ group: "shop.example", kind: "Ware", version: "v1", spec: t.object({ price: t.int() }) });';
  const owning = (name: string, more = '') => built(name, '', `resources: [Ware], ${more}`, '1.0.0', 'process', ware);
  await install(to, await owning('former'));
  await phase(to, 'former', 'Active');
  const wares = '/apis/shop.example/v1/namespaces/default/wares';
  const one = { apiVersion: 'shop.example/v1', kind: 'Ware', metadata: { name: 'tea' }, spec: { price: 3 } };
  await to.client.request('POST', wares, one);
  const bundle = await owning('latter', 'replaces: ["former"],');
  expect(bundle.manifest.replaces).toEqual(['former']);
  await install(to, bundle);
  expect(await says(to, 'latter', 'Conflict')).toBe(
    'it replaces former, which is installed: uninstall former (its objects stay) or pause it',
  );
  await to.client.delete(pluginKind, { name: 'former' });
  await phase(to, 'latter', 'Active');
  expect(await to.client.request('GET', `${wares}/tea`)).toMatchObject({ spec: { price: 3 } });
  await install(to, await owning('stranger'));
  expect(await says(to, 'stranger', 'KindTaken')).toContain('belongs to plugin latter');
}, 60_000);
