import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { seededRandom, silentLog, systemClock } from '#base';
import { createMemoryStore } from '../store/memory.ts';
import type { ApiServer, ApiServerOptions } from './contract.ts';
import { createSchemaEngine } from './schema/schema.ts';
import { createApiServer } from './server.ts';

let server: ApiServer;
const admin: Partial<ApiServerOptions> = {
  authenticator: { authenticate: async () => ({ name: 'admin', groups: ['system:masters'] }) },
  authorizer: { authorize: () => ({ allowed: true }) },
};
async function start(options: Partial<ApiServerOptions> = {}): Promise<ApiServer> {
  return createApiServer({
    store: await createMemoryStore(),
    clock: systemClock,
    random: seededRandom(1),
    log: silentLog,
    serviceRange: '10.96.0.0/24',
    schema: createSchemaEngine(),
    advertise: { ip: '192.0.2.1', port: 6443 },
    ...admin,
    ...options,
  } as ApiServerOptions);
}
interface Answer {
  code: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
  headers: Headers;
}
async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await server.fetch(
    new Request(`http://localhost${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    }),
  );
  const text = await response.text();
  return { code: response.status, body: text.startsWith('{') ? JSON.parse(text) : text, headers: response.headers };
}
const configMap = (name: string, data: Record<string, string> = {}, labels?: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels },
  data,
});
const maps = '/api/v1/namespaces/default/configmaps';

/** The events of one watch, one by one. */
async function openWatch(path: string, headers: Record<string, string> = {}) {
  const response = await server.fetch(new Request(`http://localhost${path}`, { headers }));
  const reader = response
    .body!.pipeThrough(new TextDecoderStream() as never)
    .getReader() as unknown as ReadableStreamDefaultReader<string>;
  let buffered = '';
  return {
    async next() {
      buffered = buffered.trimStart(); // the line feed that carries the head
      while (!buffered.trimStart().includes('\n')) {
        const { value, done } = await reader.read();
        if (done) return undefined;
        buffered += value;
      }
      buffered = buffered.trimStart();
      const line = buffered.slice(0, buffered.indexOf('\n'));
      buffered = buffered.slice(line.length + 1);
      return JSON.parse(line);
    },
    close: () => reader.cancel(),
  };
}

beforeEach(async () => {
  server = await start();
});
afterEach(() => server[Symbol.asyncDispose]());

describe('objects', () => {
  test('a life: create, read, replace, conflict, delete', async () => {
    const made = await call('POST', maps, configMap('a', { x: '1' }));
    expect(made.code).toBe(201);
    expect(made.body.metadata).toMatchObject({ name: 'a', namespace: 'default' });
    expect(made.body.metadata.resourceVersion).toMatch(/^\d+$/);
    expect((await call('GET', `${maps}/a`)).body).toEqual(made.body);
    const next = await call('PUT', `${maps}/a`, { ...made.body, data: { x: '2' } });
    expect(next.body.data).toEqual({ x: '2' });
    const stale = await call('PUT', `${maps}/a`, { ...made.body, data: { x: '3' } });
    expect(stale.code).toBe(409);
    expect(stale.body.message).toBe(
      'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
    );
    const gone = await call('DELETE', `${maps}/a`);
    expect(gone.body).toMatchObject({ kind: 'Status', status: 'Success', details: { name: 'a', kind: 'configmaps' } });
    expect((await call('GET', `${maps}/a`)).body.message).toBe('configmaps "a" not found');
  });
  test('a write that changes nothing keeps its version', async () => {
    const made = await call('POST', maps, configMap('same', { x: '1' }));
    const again = await call('PUT', `${maps}/same`, made.body);
    expect(again.body.metadata.resourceVersion).toBe(made.body.metadata.resourceVersion);
  });
  test('names are generated, and taken names refused', async () => {
    const made = await call('POST', maps, { metadata: { generateName: 'run-' } });
    expect(made.body.metadata.name).toMatch(/^run-[a-z0-9]{5}$/);
    await call('POST', maps, configMap('twice'));
    expect((await call('POST', maps, configMap('twice'))).body).toMatchObject({
      code: 409,
      reason: 'AlreadyExists',
      message: 'configmaps "twice" already exists',
    });
  });
  test('a finalizer holds the object until it is removed', async () => {
    const object = configMap('held');
    await call('POST', maps, { ...object, metadata: { ...object.metadata, finalizers: ['example.com/hold'] } });
    const marked = await call('DELETE', `${maps}/held`);
    expect(marked.body.metadata.deletionTimestamp).toBeString();
    await call(
      'PATCH',
      `${maps}/held`,
      { metadata: { finalizers: null } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect((await call('GET', `${maps}/held`)).code).toBe(404);
  });
  test('a dry run leaves nothing', async () => {
    expect((await call('POST', `${maps}?dryRun=All`, configMap('dry'))).code).toBe(201);
    expect((await call('GET', `${maps}/dry`)).code).toBe(404);
  });
  test('a missing namespace is 404, an ending one 403', async () => {
    const missing = await call('POST', '/api/v1/namespaces/nowhere/configmaps', configMap('a'));
    expect([missing.code, missing.body.message]).toEqual([404, 'namespaces "nowhere" not found']);
  });
});

describe('lists', () => {
  test('pages hold to the version of the first one', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await call('POST', maps, configMap(name));
    const first = await call('GET', `${maps}?limit=2`);
    expect(first.body.metadata.remainingItemCount).toBe(3);
    await call('DELETE', `${maps}/c`);
    const rest = await call('GET', `${maps}?limit=9&continue=${first.body.metadata.continue}`);
    expect(rest.body.items.map((item: { metadata: { name: string } }) => item.metadata.name)).toEqual(['c', 'd', 'e']);
    expect(rest.body.metadata.resourceVersion).toBe(first.body.metadata.resourceVersion);
  });
  test('selectors by label and field', async () => {
    await call('POST', maps, configMap('a', {}, { tier: 'one' }));
    await call('POST', maps, configMap('b', {}, { tier: 'two' }));
    const names = async (query: string) =>
      (await call('GET', `${maps}?${query}`)).body.items.map(
        (item: { metadata: { name: string } }) => item.metadata.name,
      );
    expect(await names('labelSelector=tier%3Dtwo')).toEqual(['b']);
    expect(await names('labelSelector=tier+in+(one,two)')).toEqual(['a', 'b']);
    expect(await names('fieldSelector=metadata.name%3Da')).toEqual(['a']);
    expect((await call('GET', `${maps}?fieldSelector=spec.x%3Da`)).code).toBe(400);
  });
  test('tables and metadata alone', async () => {
    await call('POST', maps, configMap('a'));
    const table = await call('GET', maps, undefined, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
    expect(table.body.kind).toBe('Table');
    expect(table.body.rows[0].object.kind).toBe('PartialObjectMetadata');
    const partial = await call('GET', maps, undefined, {
      accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
    });
    expect(Object.keys(partial.body.items[0])).toEqual(['kind', 'apiVersion', 'metadata']);
    expect((await call('GET', maps, undefined, { accept: 'text/html' })).code).toBe(406);
  });
});

describe('watches', () => {
  test('state, changes and transitions of a selection', async () => {
    await call('POST', maps, configMap('a', {}, { on: 'yes' }));
    const watch = await openWatch(`${maps}?watch=true&labelSelector=on%3Dyes`);
    expect(await watch.next()).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'a' } } });
    const merge = { 'content-type': 'application/merge-patch+json' };
    await call('PATCH', `${maps}/a`, { data: { x: '1' } }, merge);
    expect((await watch.next()).type).toBe('MODIFIED');
    const left = await call('PATCH', `${maps}/a`, { metadata: { labels: { on: 'no' } } }, merge);
    const event = await watch.next();
    expect(event).toMatchObject({ type: 'DELETED', object: { metadata: { labels: { on: 'yes' } } } });
    expect(event.object.metadata.resourceVersion).toBe(left.body.metadata.resourceVersion);
    await call('PATCH', `${maps}/a`, { metadata: { labels: { on: 'yes' } } }, merge);
    expect((await watch.next()).type).toBe('ADDED');
    await watch.close();
  });
  test('resumes from a version, and 410 for one that is forgotten', async () => {
    const made = await call('POST', maps, configMap('a'));
    await call('DELETE', `${maps}/a`);
    const watch = await openWatch(`${maps}?watch=1&resourceVersion=${made.body.metadata.resourceVersion}`);
    expect(await watch.next()).toMatchObject({ type: 'DELETED', object: { metadata: { name: 'a' } } });
    await watch.close();
    const store = await createMemoryStore();
    const filler = new TextEncoder().encode('{}');
    for (let index = 0; index < 2100; index++) await store.create(`/registry/none/none/${index}`, filler);
    await using late = await start({ store });
    const old = await late.fetch(new Request(`http://localhost${maps}?watch=1&resourceVersion=1`));
    expect(await old.json()).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
  });
  test('a watch list ends its first state with a marked bookmark', async () => {
    await call('POST', maps, configMap('a'));
    const watch = await openWatch(
      `${maps}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    );
    expect((await watch.next()).type).toBe('ADDED');
    const mark = await watch.next();
    expect(mark).toMatchObject({
      type: 'BOOKMARK',
      object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
    await watch.close();
  });
  test('ends at its timeout', async () => {
    const watch = await openWatch(`${maps}?watch=1&resourceVersion=0&timeoutSeconds=1`);
    expect(await watch.next()).toBeUndefined();
  });
});

describe('what every cluster has', () => {
  test('namespaces and the kubernetes service with its first address', async () => {
    const list = await call('GET', '/api/v1/namespaces');
    expect(list.body.items.map((item: { metadata: { name: string } }) => item.metadata.name)).toEqual([
      'default',
      'kube-node-lease',
      'kube-public',
      'kube-system',
    ]);
    expect((await call('GET', '/api/v1/namespaces/default/services/kubernetes')).body.spec.clusterIP).toBe('10.96.0.1');
    const slice = await call('GET', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes');
    expect(slice.body.endpoints[0].addresses).toEqual(['192.0.2.1']);
  });
  test('addresses are unique, and free again after a deletion', async () => {
    const service = (name: string, clusterIP?: string) => ({
      metadata: { name },
      spec: { clusterIP, ports: [{ port: 80 }] },
    });
    const services = '/api/v1/namespaces/default/services';
    const made = await call('POST', services, service('a', '10.96.0.9'));
    expect(made.code).toBe(201);
    const taken = await call('POST', services, service('b', '10.96.0.9'));
    expect(taken.code).toBe(422);
    expect(taken.body.message).toContain('failed to allocate IP 10.96.0.9: provided IP is already allocated');
    await call('DELETE', `${services}/a`);
    expect((await call('POST', services, service('b', '10.96.0.9'))).code).toBe(201);
    expect((await call('POST', services, service('c'))).body.spec.clusterIP).toStartWith('10.96.0.');
  });
  test('discovery, plain and aggregated', async () => {
    expect((await call('GET', '/apis')).body.groups.map((group: { name: string }) => group.name)).toContain(
      'discovery.k8s.io',
    );
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
    const aggregated = await call('GET', '/api', undefined, { accept });
    expect(aggregated.headers.get('content-type')).toBe(accept);
    expect(
      aggregated.body.items[0].versions[0].resources.map((resource: { resource: string }) => resource.resource),
    ).toContain('pods');
    expect((await call('GET', '/version')).body.gitVersion).toBe('v1.37.1+pintle');
    expect((await call('GET', '/readyz')).body).toBe('ok');
  });
});

test('a namespace ends when its finalizers are gone', async () => {
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'n' } });
  await call('POST', '/api/v1/namespaces/n/configmaps', configMap('a'));
  const marked = await call('DELETE', '/api/v1/namespaces/n');
  expect(marked.body.status.phase).toBe('Terminating');
  const refused = await call('POST', '/api/v1/namespaces/n/configmaps', configMap('b'));
  expect(refused.body).toMatchObject({ code: 403, details: { causes: [{ reason: 'NamespaceTerminating' }] } });
  await call('DELETE', '/api/v1/namespaces/n/configmaps');
  const current = await call('GET', '/api/v1/namespaces/n');
  const done = await call('PUT', '/api/v1/namespaces/n/finalize', { ...current.body, spec: {} });
  expect(done.code).toBe(200);
  expect((await call('GET', '/api/v1/namespaces/n')).code).toBe(404);
});

describe('pods', () => {
  const pods = '/api/v1/namespaces/default/pods';
  const pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i:1' }] } };
  test('need their service account; are bound once; end gracefully', async () => {
    expect((await call('POST', pods, pod)).body.message).toBe(
      'pods "p" is forbidden: error looking up service account default/default: serviceaccount "default" not found',
    );
    await call('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
    const made = await call('POST', pods, pod);
    expect(made.body.spec.tolerations).toHaveLength(2);
    expect(made.body.spec.containers[0].volumeMounts[0].mountPath).toBe(
      '/var/run/secrets/kubernetes.io/serviceaccount',
    );
    const binding = { target: { kind: 'Node', name: 'n1' } };
    const nomination = { status: { nominatedNodeName: 'n1' } };
    const nominated = await call('PATCH', `${pods}/p/status`, nomination, {
      'content-type': 'application/merge-patch+json',
    });
    expect(nominated.body.status.nominatedNodeName).toBe('n1');
    expect((await call('POST', `${pods}/p/binding`, binding)).code).toBe(201);
    expect((await call('GET', `${pods}/p`)).body.status.nominatedNodeName).toBeUndefined();
    const again = await call('POST', `${pods}/p/binding`, binding);
    expect([again.code, again.body.message]).toEqual([
      409,
      'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1"',
    ]);
    const mine = await call('GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1');
    expect(mine.body.items).toHaveLength(1);
    expect(mine.body.items[0].status.conditions[0]).toMatchObject({ type: 'PodScheduled', status: 'True' });
    const marked = await call('DELETE', `${pods}/p`);
    expect(marked.body.metadata.deletionGracePeriodSeconds).toBe(30);
    expect((await call('DELETE', `${pods}/p?gracePeriodSeconds=0`)).code).toBe(200);
    expect((await call('GET', `${pods}/p`)).code).toBe(404);
  });
  test('a replication controller scales through autoscaling/v1', async () => {
    const rcs = '/api/v1/namespaces/default/replicationcontrollers';
    const template = { metadata: { labels: { a: 'b' } }, spec: pod.spec };
    await call('POST', rcs, { metadata: { name: 'r' }, spec: { replicas: 1, selector: { a: 'b' }, template } });
    const patched = await call(
      'PATCH',
      `${rcs}/r/scale`,
      { spec: { replicas: 4 } },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(patched.body).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      spec: { replicas: 4 },
      status: { selector: 'a=b' },
    });
    const after = await call('GET', `${rcs}/r`);
    expect([after.body.spec.replicas, after.body.metadata.generation]).toEqual([4, 2]);
  });
  test('reviews answer whether, and who', async () => {
    const may = await call('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
      spec: { resourceAttributes: { verb: 'get', resource: 'pods' } },
    });
    expect(may.body.status.allowed).toBe(true);
    const who = await call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {});
    expect(who.body.status.userInfo.username).toBe('admin');
    const table = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
    const rows = await call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, table);
    expect([rows.code, rows.body.reason]).toEqual([406, 'NotAcceptable']);
  });
});

describe('bad bodies', () => {
  const cases: [string, string, number][] = [
    ['no JSON', '{', 400],
    ['a list', '[]', 400],
    ['too deep', `{"metadata":{"name":"x"},"a":${'['.repeat(200)}${']'.repeat(200)}}`, 400],
    ['__proto__', '{"metadata":{"name":"x"},"data":{"__proto__":"y"}}', 400],
    ['a number no double holds', '{"metadata":{"name":"x","generation":12345678901234567890}}', 400],
  ];
  test.each(cases)('%s', async (_name, body, code) => {
    expect((await call('POST', maps, body)).code).toBe(code);
  });
  test('unknown and duplicate fields under Strict', async () => {
    const answer = await call(
      'POST',
      `${maps}?fieldValidation=Strict`,
      '{"metadata":{"name":"x"},"data":{"a":"1","a":"2"},"colour":"red"}',
    );
    expect(answer.code).toBe(400);
    expect(answer.body.message).toBe(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.a", unknown field "colour"',
    );
  });
  test('too large', async () => {
    expect((await call('POST', maps, configMap('big', { x: 'y'.repeat(3.2 * 1024 * 1024) }))).code).toBe(413);
  });
});

test('nobody is allowed what no rule allows', async () => {
  await using closed = await start({
    authenticator: {
      authenticate: async (request) => (request.headers.has('authorization') ? undefined : { name: 'eve', groups: [] }),
    },
    authorizer: { authorize: () => ({ allowed: false }) },
  });
  const refused = await closed.fetch(new Request('http://localhost/api/v1/namespaces/default/pods'));
  expect(await refused.json()).toMatchObject({
    code: 403,
    message: 'pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default"',
  });
  const unknown = await closed.fetch(new Request('http://localhost/api', { headers: { authorization: 'Bearer x' } }));
  expect(unknown.status).toBe(401);
});

describe('what upstream answers (asked of it in test/differential)', () => {
  test.each([
    [
      'POST',
      `${maps}?fieldValidation=Odd`,
      {},
      422,
      'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Odd": supported values: "", "Ignore", "Strict", "Warn"',
    ],
    [
      'POST',
      maps,
      '',
      400,
      "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
    ],
    [
      'POST',
      maps,
      { data: { a: 1 } },
      400,
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string',
    ],
    [
      'POST',
      maps,
      { metadata: 'text' },
      400,
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta',
    ],
    [
      'PUT',
      `${maps}/b`,
      { metadata: { name: 'a' } },
      400,
      'the name of the object (a) does not match the name on the URL (b)',
    ],
    ['DELETE', '/api/v1/namespaces', undefined, 405, 'the server does not allow this method on the requested resource'],
    [
      'GET',
      `${maps}?fieldSelector=data.x%3D1`,
      undefined,
      400,
      '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    ],
    ['GET', '/api/v1/pods?fieldSelector=spec.x%3D1', undefined, 400, 'field label not supported: spec.x'],
  ] as const)('%s %s is refused', async (method, path, body, code, message) => {
    const answer = await call(method, path, body);
    expect([answer.code, answer.body.message]).toEqual([code, message]);
  });
  test('keys that come twice in YAML are faults of the same weight as in JSON', async () => {
    const yaml = 'kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: y1\n  name: y2\n';
    const headers = { 'content-type': 'application/yaml' };
    expect((await call('POST', `${maps}?fieldValidation=Strict`, yaml, headers)).body.message).toBe(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n  line 5: key "name" already set in map',
    );
    const warned = await call('POST', maps, yaml, headers);
    expect(warned.body.metadata.name).toBe('y2');
    expect(warned.headers.get('warning')).toContain('already set in map');
  });
  test('items of a list do not repeat its type, and watched objects have theirs', async () => {
    await call('POST', maps, configMap('typed'));
    const { items } = (await call('GET', maps)).body;
    expect(items.map((item: object) => Object.keys(item)[0])).toContain('metadata');
    expect(items.some((item: object) => 'kind' in item)).toBe(false);
    const watch = await openWatch(`/api/v1/watch/namespaces/default/configmaps/typed`);
    expect((await watch.next()).object).toMatchObject({ kind: 'ConfigMap', metadata: { name: 'typed' } });
    await watch.close();
  });
  test('deprecated kinds say so with every answer', async () => {
    for (const path of ['/api/v1/endpoints', '/api/v1/namespaces/default/endpoints?limit=1'])
      expect((await call('GET', path)).headers.get('warning')).toBe(
        '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"',
      );
  });
  test('a page of any state is the whole state; a watch of the future waits', async () => {
    for (const name of ['p1', 'p2', 'p3']) await call('POST', maps, configMap(name));
    expect((await call('GET', `${maps}?limit=1&resourceVersion=0`)).body.items.length).toBe(3);
    const version = Number((await call('GET', maps)).body.metadata.resourceVersion);
    const watch = await openWatch(`${maps}?watch=true&resourceVersion=${version + 1}`);
    await call('POST', maps, configMap('unseen'));
    await call('POST', maps, configMap('seen'));
    expect((await watch.next()).object.metadata.name).toBe('seen');
    await watch.close();
  });
});

describe('lists of many objects', () => {
  test('a second list is the same body, and a write is seen at once', async () => {
    for (let index = 0; index < 120; index++) await call('POST', maps, configMap(`many-${index}`));
    const first = await call('GET', maps);
    const again = await call('GET', maps);
    expect(again.body).toEqual(first.body);
    await call('POST', maps, configMap('one-more'));
    const third = await call('GET', maps);
    expect(third.body.items.length).toBe(first.body.items.length + 1);
    expect(third.body.metadata.resourceVersion).not.toBe(first.body.metadata.resourceVersion);
    expect((await call('GET', '/api/v1/configmaps?limit=0')).body.items.length).toBeGreaterThanOrEqual(121);
    const selected = await call('GET', `${maps}?fieldSelector=metadata.name%3Done-more`);
    expect(selected.body.items.length).toBe(1);
  });
  test('large bodies are compressed when asked', async () => {
    await call('POST', maps, configMap('large', { text: 'x'.repeat(700_000) }));
    const answer = await server.fetch(
      new Request(`http://localhost${maps}`, { headers: { 'accept-encoding': 'gzip' } }),
    );
    expect(answer.headers.get('content-encoding')).toBe('gzip');
    const bytes = new Uint8Array(await answer.arrayBuffer());
    expect(bytes.length).toBeLessThan(50_000);
    expect(JSON.parse(Buffer.from(Bun.gunzipSync(bytes)).toString()).kind).toBe('ConfigMapList');
  });
});

test('an update that only orders its fields otherwise makes no new version, and one that changes a field does, again and again', async () => {
  server = await start();
  const made = await call('POST', maps, { ...configMap('ordered', { a: '1', b: '2' }), immutable: false });
  const put = (data: Record<string, string>) =>
    call('PUT', `${maps}/ordered`, { ...configMap('ordered', data), immutable: false });
  const versions = new Set<string>([made.body.metadata.resourceVersion]);
  expect((await put({ b: '2', a: '1' })).body.metadata.resourceVersion).toBe(made.body.metadata.resourceVersion);
  for (const a of ['2', '3', '2']) {
    const { body } = await put({ a, b: '2' });
    expect(body.data).toEqual({ a, b: '2' });
    expect((await call('GET', `${maps}/ordered`)).body).toEqual(body);
    versions.add(body.metadata.resourceVersion);
  }
  expect(versions.size).toBe(4);
});
