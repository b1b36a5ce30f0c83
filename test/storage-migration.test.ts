// The controller on the real API server: objects of an older version are stored anew, then the definition forgets that version.
import { expect, test } from 'bun:test';
import { Scope, seededRandom, silentLog, systemClock } from '#base';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { storageMigrationController } from '../core/controllers/storage-migration.ts';
import { specOf, startControllers } from '../core/sdk/controller.ts';
import { createMemoryStore } from '../core/store/memory.ts';
import { customServer, definitionsPath, establish, type Json } from './fixtures/custom-resources.ts';
import { until } from './fixtures/eventually.ts';

const version = (name: string, storage: boolean): Json => ({
  name,
  served: true,
  storage,
  schema: {
    openAPIV3Schema: {
      type: 'object',
      properties: { spec: { type: 'object', properties: { a: { type: 'string' } } } },
    },
  },
});
const definition = (storage: 'v1' | 'v2'): Json => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'foos.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'foos', kind: 'Foo' },
    versions: [version('v1', storage === 'v1'), version('v2', storage === 'v2')],
  },
});
const migrations = '/apis/storagemigration.k8s.io/v1/storageversionmigrations';
const migration = (name: string, resource: string): Json => ({
  metadata: { name },
  spec: { resource: { group: 'example.com', resource } },
});

test('every object is stored in the version of today, and the other version is forgotten', async () => {
  await using scope = new Scope();
  const store = await createMemoryStore();
  const server = await customServer(scope, { store });
  const { send } = server;
  const common = { clock: systemClock, random: seededRandom(5), log: silentLog };
  const client = createClient({ fetch: (request) => server.fetch(request), baseUrl: 'http://localhost' });
  const abort = new AbortController();
  scope.defer(() => abort.abort());
  const informers = createInformers({ ...common, client, signal: abort.signal });
  scope.use(await startControllers([specOf(storageMigrationController)], { ...common, client, informers }));

  await establish(send, definition('v1'));
  const foos = '/apis/example.com/v1/namespaces/default/foos';
  const names = Array.from({ length: 12 }, (_, index) => `f${index}`);
  for (const name of names)
    await send('POST', foos, { apiVersion: 'example.com/v1', kind: 'Foo', metadata: { name }, spec: { a: name } });
  const path = `${definitionsPath}/foos.example.com`;
  const { resourceVersion } = (await send('GET', path)).body['metadata'] as Json;
  await send('PUT', path, { ...definition('v2'), metadata: { name: 'foos.example.com', resourceVersion } });
  const storedVersions = async () => ((await send('GET', path)).body['status'] as Json)['storedVersions'];
  expect(await storedVersions()).toEqual(['v1', 'v2']);

  expect((await send('POST', migrations, migration('m', 'foos'))).code).toBe(201);
  const conditions = async (name: string) => {
    const status = (await send('GET', `${migrations}/${name}`)).body['status'] as { conditions?: Json[] } | undefined;
    return Object.fromEntries(
      (status?.conditions ?? []).map(({ type, status: is, reason }) => [type, `${is as string} ${reason as string}`]),
    );
  };
  await until(async () => (await conditions('m'))['Running'] === 'False MigrationCompleted');
  expect(await conditions('m')).toEqual({
    Running: 'False MigrationCompleted',
    Succeeded: 'True StorageVersionMigrationSucceeded',
  });
  expect(await storedVersions()).toEqual(['v2']);
  const { entries } = await store.list('/registry/example.com/foos/');
  expect(entries).toHaveLength(names.length);
  for (const { value } of entries) expect(Buffer.from(value).toString()).toStartWith('{"apiVersion":"example.com/v2"');
}, 60_000);
