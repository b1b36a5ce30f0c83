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
