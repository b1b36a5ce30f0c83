// A quota of custom objects: charged as they come, counted again when they go, and never forgotten in between.
import { expect, test } from 'bun:test';
import { Scope, seededRandom, silentLog, systemClock } from '#base';
import { createInformers } from '../core/client/cache-informer.ts';
import { createClient } from '../core/client/http.ts';
import { resourceQuotaController } from '../core/controllers/resource-quota.ts';
import { specOf, startControllers } from '../core/sdk/controller.ts';
import { customServer, establish, type Json } from './fixtures/custom-resources.ts';
import { until } from './fixtures/eventually.ts';

test('count/foos.example.com holds', async () => {
  await using scope = new Scope();
  const server = await customServer(scope);
  const { send } = server;
  const common = { clock: systemClock, random: seededRandom(5), log: silentLog };
  const client = createClient({ fetch: (request) => server.fetch(request), baseUrl: 'http://localhost' });
  const abort = new AbortController();
  scope.defer(() => abort.abort());
  const informers = createInformers({ ...common, client, signal: abort.signal });
  scope.use(await startControllers([specOf(resourceQuotaController)], { ...common, client, informers }));
  const version = { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } };
  await establish(send, {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'foos.example.com' },
    spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'foos', kind: 'Foo' }, versions: [version] },
  });
  const foos = '/apis/example.com/v1/namespaces/default/foos';
  const make = (name: string) => send('POST', foos, { apiVersion: 'example.com/v1', kind: 'Foo', metadata: { name } });
  const quotas = '/api/v1/namespaces/default/resourcequotas';
  await make('before');
  await send('POST', quotas, { metadata: { name: 'q' }, spec: { hard: { 'count/foos.example.com': '2' } } });
  const used = async () =>
    ((await send('GET', `${quotas}/q`)).body['status'] as { used?: Json } | undefined)?.used?.[
      'count/foos.example.com'
    ];
  await until(async () => (await used()) === '1');
  expect((await make('second')).code).toBe(201);
  const third = await make('third');
  expect([third.code, third.body['message']]).toEqual([
    403,
    'foos.example.com "third" is forbidden: exceeded quota: q, requested: count/foos.example.com=1, used: count/foos.example.com=2, limited: count/foos.example.com=2',
  ]);
  await send('DELETE', `${foos}/before`);
  await until(async () => (await used()) === '1');
  expect((await make('third')).code).toBe(201);
}, 90_000);
