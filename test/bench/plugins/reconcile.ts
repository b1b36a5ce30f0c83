import type { KubeObject } from '#api';
import { Scope, seededRandom, silentLog, systemClock } from '#base';
import { createSchemaEngine } from '../../../core/apiserver/schema/schema.ts';
import { createApiServer } from '../../../core/apiserver/server.ts';
import { strategyKit } from '../../../core/apiserver/strategies/kit.ts';
import { createInformers } from '../../../core/client/cache-informer.ts';
import { createClient } from '../../../core/client/http.ts';
import { AdmissionList } from '../../../core/host/admission-list.ts';
import { startParts } from '../../../core/host/builtin.ts';
import { apiParts } from '../../../core/host/parts.ts';
import { crd, plugin, startPlugin, t } from '../../../core/sdk/index.ts';
import { createMemoryStore } from '../../../core/store/memory.ts';

const seams = { clock: systemClock, random: seededRandom(11), log: silentLog };
const noMetrics = { counter: () => ({ inc() {} }), gauge: () => ({ set() {} }) };
const item = crd({ group: 'bench.example.com', kind: 'Item', version: 'v1', spec: t.object({ value: t.int() }) });

/** Keys a second of a reconcile that reads its object and writes nothing, from the first of `keys` objects to the last. */
export async function reconcileInProcess(keys: number): Promise<number> {
  await using scope = new Scope();
  const client = await customKindServer(scope);
  for (let index = 0; index < keys; index++)
    await client.create(item.kind, {
      apiVersion: 'bench.example.com/v1',
      kind: 'Item',
      metadata: { name: `item-${index}`, namespace: 'default' },
      spec: { value: index },
    } as KubeObject);
  const done = Promise.withResolvers<number>();
  let firstMs = 0;
  let count = 0;
  const subject = plugin({
    name: 'bench',
    version: '1.0.0',
    sdk: '^1.0',
    resources: [item],
    setup({ reconcile }) {
      reconcile(item, {}, async ({ spec }) => {
        if (count++ === 0) firstMs = performance.now();
        if (spec.value < 0) throw new Error('never');
        if (count === keys) done.resolve(performance.now() - firstMs);
      });
    },
  });
  const informers = createInformers({ client, ...seams, signal: scope.signal });
  scope.use(await startPlugin(subject, { client, informers, ...seams, metrics: noMetrics }));
  return keys / ((await done.promise) / 1_000);
}

/** The API server in this process, with custom resources and the definition of Item. */
async function customKindServer(scope: Scope) {
  const schema = createSchemaEngine();
  const hooks = new AdmissionList();
  const api = scope.use(
    await createApiServer({
      schema,
      store: await createMemoryStore(),
      ...seams,
      serviceRange: '10.96.0.0/24',
      admission: [hooks],
      authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
      authorizer: { authorize: () => ({ allowed: true }) },
      tokens: {
        issue: async () => ({ token: 'none', expirationTimestamp: '2100-01-01T00:00:00Z' }),
        review: async () => ({ authenticated: false }),
      },
    }),
  );
  const client = createClient({ fetch: (request) => api.fetch(request), baseUrl: 'http://localhost' });
  const crds = { name: 'crd', enabled: true, api: () => import('../../../plugins/crd/api.ts') };
  const { kinds, reader } = api;
  const server = { kinds, reader, schema, hooks, kit: strategyKit, checkMetadata: () => [] };
  scope.use(await startParts(apiParts([crds], server, { ...seams, client }), seams));
  await client.request('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', item.manifest);
  for (;;) {
    const found = kinds.all().some(({ kind }) => kind.kind === 'Item');
    if (found) return client;
    await systemClock.sleep(5);
  }
}
