import { afterAll, beforeAll, expect, test } from 'bun:test';
import { seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../store/memory.ts';
import type { ApiServer } from './contract.ts';
import { createApiServer } from './server.ts';

let server: ApiServer;
let storeFails = false;
beforeAll(async () => {
  const store = await createMemoryStore();
  server = await createApiServer({
    store: new Proxy(store, {
      get(target, name) {
        if (name === 'version' && storeFails) return () => Promise.reject(new Error('disk gone'));
        const value = Reflect.get(target, name) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    }),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
    authorizer: { authorize: () => ({ allowed: true }) },
  });
});
afterAll(() => server[Symbol.asyncDispose]());
const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  server.fetch(new Request(`http://localhost${path}`, { headers }));

test('health: each check by name, excluded, and the store asked for real', async () => {
  expect(await (await get('/livez')).text()).toBe('ok');
  expect(await (await get('/readyz?verbose&exclude=etcd&exclude=zzz')).text()).toBe(
    '[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\n[+]etcd-readiness ok\n[+]informer-sync ok\n[+]shutdown ok\nwarn: some health checks cannot be excluded: no matches for "zzz"\nreadyz check passed\n',
  );
  expect((await get('/readyz/none')).status).toBe(404);
  storeFails = true;
  try {
    const failed = await get('/readyz');
    expect([failed.status, await failed.text()]).toEqual([
      500,
      '[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\n[+]informer-sync ok\n[+]shutdown ok\nreadyz check failed\n',
    ]);
    expect((await get('/livez?exclude=etcd')).status).toBe(200);
  } finally {
    storeFails = false;
  }
});

test('metrics carry upstream’s names', async () => {
  await get('/api/v1/namespaces/default/configmaps/none');
  const text = await (await get('/metrics')).text();
  expect(text).toContain(
    'apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 1\n',
  );
  expect(text).toMatch(/apiserver_request_duration_seconds_bucket\{[^}]*resource="configmaps"[^}]*le="0.005"\} \d/);
  expect(text).toContain('apiserver_storage_objects{resource="namespaces"} ');
  expect(text).toContain('apiserver_current_inflight_requests{request_kind="readOnly"} 0\n');
});

test('aggregated discovery is not sent twice', async () => {
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
  const first = await get('/apis', { accept });
  const etag = first.headers.get('etag')!;
  expect(first.headers.get('content-type')).toBe(accept);
  const again = await get('/apis', { accept, 'if-none-match': etag });
  expect([again.status, await again.text()]).toEqual([304, '']);
});

test('an OpenAPI document lies under its hash for ever, and elsewhere leads there', async () => {
  const { paths } = (await (await get('/openapi/v3')).json()) as {
    paths: Record<string, { serverRelativeURL: string }>;
  };
  const address = paths['api/v1']!.serverRelativeURL;
  const document = await get(address);
  expect(document.headers.get('cache-control')).toBe('public, immutable');
  expect(((await document.json()) as { openapi: string }).openapi).toBe('3.0.0');
  const stale = await get('/openapi/v3/api/v1?hash=00');
  expect([stale.status, stale.headers.get('location')]).toEqual([301, address]);
  expect((await get('/openapi/v3/api/v1', { 'if-none-match': document.headers.get('etag')! })).status).toBe(304);
  expect((await get('/openapi/v3/api/v9')).status).toBe(404);
});

test('OpenAPI v2 has a protobuf form for older clients', async () => {
  const accept = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
  const message = new Uint8Array(await (await get('/openapi/v2', { accept })).arrayBuffer());
  expect([...message.subarray(0, 5)]).toEqual([0x0a, 3, ...Buffer.from('2.0')]); // Document.swagger
  const text = Buffer.from(message).toString('latin1');
  for (const part of [
    'io.k8s.api.core.v1.Pod',
    '/api/v1/namespaces/{namespace}/pods/{name}',
    'x-kubernetes-group-version-kind',
  ])
    expect(text).toContain(part);
});
