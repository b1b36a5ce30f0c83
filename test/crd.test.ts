import { expect, test } from 'bun:test';
import { parseExactly, Scope } from '#base';
import type { CallWebhook } from '#sdk';
import { createMemoryStore } from '../core/store/memory.ts';
import {
  conditionsOf,
  customServer,
  definitionsPath as definitions,
  establish,
  exactly,
  type Json,
  type Send,
} from './fixtures/custom-resources.ts';
import { until } from './fixtures/eventually.ts';

const server = async (scope: Scope, store?: Awaited<ReturnType<typeof createMemoryStore>>, callWebhook?: CallWebhook) =>
  (await customServer(scope, { store, callWebhook })).send;
const version = (spec: Json, more: Json = {}, schema: Json = {}): Json => ({
  name: 'v1',
  served: true,
  storage: true,
  schema: {
    openAPIV3Schema: {
      type: 'object',
      properties: {
        spec: { type: 'object', ...spec },
        status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      },
      ...schema,
    },
  },
  ...more,
});
const definition = (versions: Json[], more: Json = {}): Json => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'foos.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'foos', kind: 'Foo', shortNames: ['fo'] },
    versions,
    ...more,
  },
});
const foos = '/apis/example.com/v1/namespaces/default/foos';
const foo = (spec: Json, metadata: Json = { name: 'a' }, apiVersion = 'example.com/v1'): Json => ({
  apiVersion,
  kind: 'Foo',
  metadata,
  spec,
});
const messageOf = async (answer: Promise<{ body: Json }>) => (await answer).body['message'];

test('a definition is served once it is established, in discovery and in the documents; gone with its objects', async () => {
  await using scope = new Scope();
  const send = await server(scope);
  expect((await send('GET', foos)).code).toBe(404);
  await establish(
    send,
    definition([version({ properties: { color: { type: 'string', description: 'Its colour.' } } })]),
  );
  const { body } = await send('GET', '/apis/example.com/v1');
  expect(body['resources']).toMatchObject([{ name: 'foos', singularName: 'foo', kind: 'Foo', shortNames: ['fo'] }]);
  for (const path of ['/openapi/v3/apis/example.com/v1', '/openapi/v2']) {
    const document = await send('GET', path);
    expect(JSON.stringify(document.body)).toContain('Its colour.');
    expect(JSON.stringify(document.body)).toContain('com.example.v1.FooList');
    // `kubectl apply` would send the patch that it finds here, and is answered 415 for a custom kind.
    const paths = document.body['paths'] as Record<string, { patch?: Json }>;
    const patch = JSON.stringify(paths[`${foos.replace('/default/', '/{namespace}/')}/{name}`]!.patch);
    expect(patch).toContain('application/merge-patch+json');
    expect(patch).not.toContain('strategic-merge-patch');
  }
  const service = '/apis/apiregistration.k8s.io/v1/apiservices/v1.example.com';
  expect((await send('GET', service)).body).toMatchObject({
    metadata: { labels: { 'kube-aggregator.kubernetes.io/automanaged': 'true' } },
    spec: { group: 'example.com', version: 'v1', groupPriorityMinimum: 1000, versionPriority: 100 },
    status: { conditions: [{ type: 'Available', status: 'True', reason: 'Local' }] },
  });
  expect((await send('POST', foos, foo({ color: 'red' }))).code).toBe(201);
  await send('POST', foos, foo({}, { name: 'held', finalizers: ['example.com/hold'] }));
  expect((await send('DELETE', `${definitions}/foos.example.com`)).code).toBe(200);
  await until(
    async () =>
      conditionsOf((await send('GET', `${definitions}/foos.example.com`)).body)['Terminating'] ===
      'True InstanceDeletionInProgress',
  );
  expect(await messageOf(send('POST', foos, foo({}, { name: 'late' })))).toBe(
    'foos.example.com "late" is forbidden: create not allowed while custom resource definition is terminating',
  );
  await send('PATCH', `${foos}/held`, { metadata: { finalizers: null } }, 'application/merge-patch+json');
  await until(async () => (await send('GET', `${definitions}/foos.example.com`)).code === 404);
  await until(async () => (await send('GET', foos)).code === 404);
  await until(async () => (await send('GET', service)).code === 404);
});

test('objects are pruned, defaulted and validated in the words of the original', async () => {
  await using scope = new Scope();
  const send = await server(scope);
  const properties = {
    color: { type: 'string', enum: ['red', 'green'] },
    replicas: { type: 'integer', minimum: 1, default: 1 },
    port: { 'x-kubernetes-int-or-string': true },
    name: { type: 'string', maxLength: 5, pattern: '^[a-z]+$' },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    nul: { type: 'string', nullable: true },
    items: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string' }, size: { type: 'integer', default: 3 } },
      },
    },
  };
  await establish(send, definition([version({ properties, required: ['color'] })]));
  const made = await send(
    'POST',
    foos,
    foo({ color: 'red', zzz: 1, nul: null, name: null, items: [{ name: 'a', x: 1 }], free: { a: { b: 1 } } }),
  );
  expect(made.body['spec']).toEqual({
    color: 'red',
    nul: null,
    items: [{ name: 'a', size: 3 }],
    free: { a: { b: 1 } },
    replicas: 1,
  });
  expect(made.warning).toContain('unknown field \\"spec.zzz\\"');
  expect(
    await messageOf(send('POST', `${foos}?fieldValidation=Strict`, foo({ color: 'red', zzz: 1 }, { name: 'b' }))),
  ).toBe('Foo in version "v1" cannot be handled as a Foo: strict decoding error: unknown field "spec.zzz"');
  const wrong = foo({ replicas: 0, port: 1.5, name: 'AAAAAA', items: [{ name: 'a' }, { name: 'a' }] }, { name: 'b' });
  expect(await messageOf(send('POST', foos, wrong))).toBe(
    'Foo.example.com "b" is invalid: [spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1, ' +
      'spec.port: Invalid value: "number": spec.port in body must be of type integer,string: "number", ' +
      'spec.name: Too long: may not be more than 5 bytes, spec.color: Required value, spec.items[1]: Duplicate value: {"name":"a"}]',
  );
  const applied = await send(
    'PATCH',
    `${foos}/a?fieldManager=x`,
    { apiVersion: 'example.com/v1', kind: 'Foo', metadata: { name: 'a' }, spec: { items: [{ name: 'b' }] } },
    'application/apply-patch+yaml',
  );
  expect(applied.body['spec']).toMatchObject({
    items: [
      { name: 'a', size: 3 },
      { name: 'b', size: 3 },
    ],
  });
  expect(await messageOf(send('PATCH', `${foos}/a`, {}, 'application/strategic-merge-patch+json'))).toBe(
    'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
  );
});

test('rules: messages, transitions, ratcheting', async () => {
  await using scope = new Scope();
  const send = await server(scope);
  const rule = (rule: string, more: Json = {}) => ({ rule, ...more });
  const properties = {
    a: {
      type: 'integer',
      'x-kubernetes-validations': [rule('self < 10', { messageExpression: "'too ' + (self > 0 ? 'big' : 'odd')" })],
    },
    fixed: {
      type: 'string',
      'x-kubernetes-validations': [rule('self == oldSelf', { message: 'is immutable', reason: 'FieldValueForbidden' })],
    },
    b: { type: 'integer' },
    'dashed-name': { type: 'integer' },
    when: { type: 'string', format: 'date-time' },
  };
  const rules = [
    rule('!has(self.b) || self.b > self.a', { message: 'b must be above a', fieldPath: '.b' }),
    rule('!has(self.dashed__dash__name) || self.dashed__dash__name > 0'),
    rule("!has(self.when) || self.when > timestamp('2020-01-01T00:00:00Z')", { message: 'too old' }),
  ];
  await establish(send, definition([version({ properties, 'x-kubernetes-validations': rules })]));
  expect(await messageOf(send('POST', foos, foo({ a: 11 })))).toBe(
    'Foo.example.com "a" is invalid: spec.a: Invalid value: 11: too big',
  );
  expect(await messageOf(send('POST', foos, foo({ a: 5, b: 4 })))).toBe(
    'Foo.example.com "a" is invalid: spec.b: Invalid value: b must be above a',
  );
  expect(await messageOf(send('POST', foos, foo({ 'dashed-name': 0, when: '2019-01-01T00:00:00Z' })))).toBe(
    'Foo.example.com "a" is invalid: [spec: Invalid value: failed rule: !has(self.dashed__dash__name) || self.dashed__dash__name > 0, spec: Invalid value: too old]',
  );
  expect((await send('POST', foos, foo({ a: 5, fixed: 'x' }))).code).toBe(201);
  const merge = (spec: Json) => send('PATCH', `${foos}/a`, { spec }, 'application/merge-patch+json');
  expect(await messageOf(merge({ fixed: 'y' }))).toBe(
    'Foo.example.com "a" is invalid: spec.fixed: Forbidden: is immutable',
  );
  const stricter = definition([
    version({
      properties: { ...properties, a: { type: 'integer', maximum: 3, 'x-kubernetes-validations': [rule('self < 4')] } },
    }),
  ]) as { metadata: Json };
  const { body } = await send('GET', `${definitions}/foos.example.com`);
  stricter.metadata['resourceVersion'] = (body['metadata'] as Json)['resourceVersion'];
  await send('PUT', `${definitions}/foos.example.com`, stricter);
  await until(async () => (await send('POST', `${foos}?dryRun=All`, foo({ a: 5 }, { name: 'b' }))).code === 422);
  const kept = await merge({ fixed: 'x', b: 9 });
  expect(kept.code).toBe(200); // what was stored before is not held against its owner
  expect(kept.warning).toContain('spec.a');
});

test('status, scale, generation, columns, field selectors', async () => {
  await using scope = new Scope();
  const send = await server(scope);
  const more = {
    subresources: {
      status: {},
      scale: {
        specReplicasPath: '.spec.replicas',
        statusReplicasPath: '.status.replicas',
        labelSelectorPath: '.status.selector',
      },
    },
    selectableFields: [{ jsonPath: '.spec.color' }],
    additionalPrinterColumns: [
      { name: 'Color', type: 'string', jsonPath: '.spec.color' },
      { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    ],
  };
  await establish(
    send,
    definition([version({ properties: { replicas: { type: 'integer' }, color: { type: 'string' } } }, more)]),
  );
  const made = await send('POST', foos, { ...foo({ replicas: 1, color: 'red' }), status: { replicas: 9 } });
  expect(made.body['status']).toBeUndefined();
  const merge = (path: string, patch: Json) => send('PATCH', `${foos}/a${path}`, patch, 'application/merge-patch+json');
  const status = { replicas: 2, selector: 'a=b', conditions: [{ type: 'Ready', status: 'True' }] };
  const updated = await merge('/status', { status, spec: { color: 'blue' } });
  expect(updated.body).toMatchObject({ spec: { color: 'red' }, status, metadata: { generation: 1 } });
  expect((await merge('/scale', { spec: { replicas: 7 } })).body).toMatchObject({
    kind: 'Scale',
    spec: { replicas: 7 },
    status: { replicas: 2, selector: 'a=b' },
  });
  expect((await send('GET', `${foos}/a`)).body['metadata']).toMatchObject({ generation: 2 });
  expect(((await send('GET', `${foos}?fieldSelector=spec.color%3Dred`)).body['items'] as unknown[]).length).toBe(1);
  expect(((await send('GET', `${foos}?fieldSelector=spec.color%3Dblue`)).body['items'] as unknown[]).length).toBe(0);
  expect(await messageOf(send('GET', `${foos}?fieldSelector=spec.x%3Dred`))).toBe('field label not supported: spec.x');
});

test('names that somebody has are not given twice, and go to the next when they are free', async () => {
  await using scope = new Scope();
  const send = await server(scope);
  await establish(send, definition([version({})]));
  const bars = definition([version({})], { names: { plural: 'bars', kind: 'Bar', shortNames: ['fo'] } });
  (bars['metadata'] as Json)['name'] = 'bars.example.com';
  await send('POST', definitions, bars);
  const ofBars = async () => conditionsOf((await send('GET', `${definitions}/bars.example.com`)).body);
  await until(async () => (await ofBars())['NamesAccepted'] === 'False ShortNamesConflict');
  expect((await ofBars())['Established']).toBe('False NotAccepted');
  await send('DELETE', `${definitions}/foos.example.com`);
  await until(async () => (await ofBars())['Established'] === 'True InitialNamesAccepted');
});

test('versions share their objects, which hold what the stored version knows; its later defaults too; a restart serves the same', async () => {
  await using scope = new Scope();
  const store = await createMemoryStore();
  const send = await server(scope, store);
  const size = { type: 'integer', default: 5 };
  const color = { type: 'string' };
  const v2 = version({ properties: { color, size } }, { name: 'v2', storage: false });
  await establish(send, definition([version({ properties: { color } }), v2]));
  expect((await send('POST', foos, foo({ color: 'red' }))).code).toBe(201);
  const other = '/apis/example.com/v2/namespaces/default/foos';
  const specs = async (ask: Send) => [
    (await ask('GET', `${foos}/a`)).body['spec'],
    (await ask('GET', `${other}/a`)).body['spec'],
  ];
  expect(await specs(send)).toEqual([{ color: 'red' }, { color: 'red' }]);
  const made = await send('POST', other, foo({ size: 7 }, { name: 'b' }, 'example.com/v2'));
  expect([made.body['apiVersion'], made.body['spec']]).toEqual(['example.com/v2', {}]);
  const { body } = await send('GET', `${definitions}/foos.example.com`);
  const grown = definition([version({ properties: { color, size } }), v2]) as { metadata: Json };
  grown.metadata['resourceVersion'] = (body['metadata'] as Json)['resourceVersion'];
  expect((await send('PUT', `${definitions}/foos.example.com`, grown)).code).toBe(200);
  await until(async () => 'size' in ((await send('GET', `${foos}/a`)).body['spec'] as Json));
  const both = [
    { color: 'red', size: 5 },
    { color: 'red', size: 5 },
  ];
  expect(await specs(send)).toEqual(both);
  expect(await specs(await server(scope, store))).toEqual(both);
});

test('what a definition may not say', async () => {
  await using scope = new Scope();
  const send = await server(scope);
  const refused = (definition_: Json) => messageOf(send('POST', definitions, definition_));
  const schemaAt = 'spec.validation.openAPIV3Schema'; // of all versions
  const head = 'CustomResourceDefinition.apiextensions.k8s.io "foos.example.com" is invalid: ';
  expect(await refused(definition([version({ properties: { a: {} } })]))).toBe(
    `${head}${schemaAt}.properties[spec].properties[a].type: Required value: must not be empty for specified object fields`,
  );
  expect(
    await refused(
      definition([version({ properties: { a: { type: 'array', items: { type: 'string' }, uniqueItems: true } } })]),
    ),
  ).toBe(
    `${head}${schemaAt}.properties[spec].properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic`,
  );
  expect(await refused(definition([version({ properties: { a: { type: 'integer', default: 'x' } } })]))).toBe(
    `${head}${schemaAt}.properties[spec].properties[a].default: Invalid value: "string":  in body must be of type integer: "string"`,
  );
  expect(
    String(
      await refused(
        definition([
          version({ properties: { a: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self.x' }] } } }),
        ]),
      ),
    ),
  ).toContain('compilation failed: ERROR: <input>:1:5: type');
  expect(await refused(definition([version({}), version({})]))).toContain('must contain unique version names');
});

test('rules that may cost too much are refused, one by one and all together', async () => {
  await using scope = new Scope();
  const send = await server(scope);
  const withRules = (maxItems: number, count: number) => {
    const rules = Array.from({ length: count }, () => ({ rule: 'self.contains("abc")' }));
    const items = { type: 'string', 'x-kubernetes-validations': rules };
    return send(
      'POST',
      `${definitions}?dryRun=All`,
      definition([version({ properties: { a: { type: 'array', maxItems, items } } })]),
    );
  };
  const at = 'spec.validation.openAPIV3Schema';
  const rule = `${at}.properties[spec].properties[a].items.x-kubernetes-validations[0].rule`;
  const advice =
    ' (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)';
  expect((await withRules(31, 1)).code).toBe(201);
  expect(await messageOf(withRules(60, 1))).toBe(
    `CustomResourceDefinition.apiextensions.k8s.io "foos.example.com" is invalid: ${rule}: Forbidden: estimated rule cost exceeds budget by factor of 1.9x${advice}`,
  );
  const message = String(await messageOf(withRules(31, 11)));
  expect(message).toContain(
    `${rule}: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema`,
  );
  expect(message).toContain(
    `${at}: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of 1.072697x${advice}`,
  );
});

test('versions that a webhook converts: reads, lists, writes, watches; its failure is told', async () => {
  await using scope = new Scope();
  let broken = false;
  const send = await server(scope, undefined, async (_target, body) => {
    if (broken) throw new Error('Post "https://x": refused');
    const { uid, desiredAPIVersion, objects } = (
      body as { request: { uid: string; desiredAPIVersion: string; objects: Json[] } }
    ).request;
    const toV2 = desiredAPIVersion.endsWith('v2');
    const convertedObjects = objects.map((object) => {
      const spec = object['spec'] as { hostPort?: string; host?: string; port?: string };
      const [host, port] = (spec.hostPort ?? '').split(':');
      return {
        ...object,
        apiVersion: desiredAPIVersion,
        spec: toV2 ? { host, port } : { hostPort: `${spec.host}:${spec.port}` },
      };
    });
    return { response: { uid, result: { status: 'Success' }, convertedObjects } };
  });
  const text = { type: 'string' };
  const selectableFields = [{ jsonPath: '.spec.host' }];
  const v2 = version({ properties: { host: text, port: text } }, { name: 'v2', storage: false, selectableFields });
  const webhook = { clientConfig: { url: 'https://example.com/convert' }, conversionReviewVersions: ['v1'] };
  await establish(
    send,
    definition([version({ properties: { hostPort: text } }), v2], { conversion: { strategy: 'Webhook', webhook } }),
  );
  const other = '/apis/example.com/v2/namespaces/default/foos';
  expect((await send('POST', foos, foo({ hostPort: 'a:1' }))).code).toBe(201);
  expect((await send('GET', `${other}/a`)).body['spec']).toEqual({ host: 'a', port: '1' });
  const made = await send('POST', other, foo({ host: 'b', port: '2' }, { name: 'b' }, 'example.com/v2'));
  expect(made.body).toMatchObject({ apiVersion: 'example.com/v2', spec: { host: 'b', port: '2' } });
  expect((await send('GET', `${foos}/b`)).body['spec']).toEqual({ hostPort: 'b:2' });
  const items = (await send('GET', other)).body['items'] as Json[];
  expect(items.map((item) => item['spec'])).toEqual([
    { host: 'a', port: '1' },
    { host: 'b', port: '2' },
  ]);
  const patched = await send('PATCH', `${other}/a`, { spec: { port: '9' } }, 'application/merge-patch+json');
  expect(patched.body['spec']).toEqual({ host: 'a', port: '9' });
  expect((await send('GET', `${foos}/a`)).body['spec']).toEqual({ hostPort: 'a:9' });
  const selected = async (host: string) =>
    ((await send('GET', `${other}?fieldSelector=spec.host%3D${host}`)).body['items'] as Json[]).map(({ spec }) => spec);
  await send('POST', foos, foo({ hostPort: 'd:4' }, { name: 'd' }));
  expect(await selected('d')).toEqual([{ host: 'd', port: '4' }]);
  expect(await selected('none')).toEqual([]);
  const watched = send('GET', `${other}?watch=1&timeoutSeconds=2&fieldSelector=spec.host%3De`);
  await send('POST', foos, foo({ hostPort: 'e:5' }, { name: 'e' }));
  await send('POST', foos, foo({ hostPort: 'f:6' }, { name: 'f' }));
  await send('PATCH', `${foos}/e`, { spec: { hostPort: 'g:7' } }, 'application/merge-patch+json');
  const events = (await watched).text.trim().split('\n');
  expect(
    events
      .map((line) => JSON.parse(line) as { type: string; object: Json })
      .map(({ type, object }) => [type, object['spec']]),
  ).toEqual([
    ['ADDED', { host: 'e', port: '5' }],
    ['DELETED', { host: 'e', port: '5' }],
  ]);
  broken = true;
  await send('POST', foos, foo({ hostPort: 'c:3' }, { name: 'c' }));
  expect((await send('GET', `${other}/c`)).body).toMatchObject({
    code: 500,
    message:
      'Internal error occurred: conversion webhook for example.com/v1, Kind=Foo failed: Post "https://x": refused',
  });
});

test('integers of 64 bits are kept exactly on every way in and out; nulls that may be are owned', async () => {
  await using scope = new Scope();
  const send = await server(scope);
  const big = { type: 'integer', maximum: Number.MAX_SAFE_INTEGER * 4096 };
  const properties = { n: big, free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  await establish(
    send,
    definition([version({ properties: { ...properties, none: { type: 'string', nullable: true } } })]),
  );
  const spec = { n: 9223372036854775807n, free: { m: [-9223372036854775808n, 9007199254740993n] }, none: null };
  const path = `${foos}/a`;
  const shown = async () => JSON.stringify((await exactly(send, 'GET', path))['spec']);
  const made = await exactly(send, 'POST', foos, foo(spec as Json));
  expect(JSON.stringify(made['spec'])).toBe(JSON.stringify(spec));
  const { managedFields } = made['metadata'] as { managedFields: { fieldsV1: Json }[] };
  expect(managedFields[0]!.fieldsV1['f:spec']).toMatchObject({ 'f:none': {}, 'f:n': {} });
  await send('PATCH', path, { spec: { none: 'x' } }, 'application/merge-patch+json');
  expect(await shown()).toBe(JSON.stringify({ ...spec, none: 'x' }));
  await send('PATCH', path, [{ op: 'add', path: '/spec/free/k', value: 1 }], 'application/json-patch+json');
  await send('PATCH', `${path}?fieldManager=m`, foo({ free: { l: 2n ** 60n } }), 'application/apply-patch+yaml');
  const free = { ...spec.free, k: 1, l: 2n ** 60n };
  const now = (await exactly(send, 'GET', path))['spec'] as { free: Json };
  expect(now.free).toEqual(parseExactly(JSON.stringify(free)) as Json);
  const { metadata } = (await send('GET', path)).body as { metadata: Json };
  expect((await send('PUT', path, foo({ ...spec, n: 2n ** 62n }, metadata))).code).toBe(200);
  expect((await exactly(send, 'GET', path))['spec']).toMatchObject({ n: 2n ** 62n });
  const refused = await send('POST', foos, foo({ n: 2n ** 63n + 1n }, { name: 'b' }));
  expect(refused).toMatchObject({ code: 400, body: { message: expect.stringContaining('too large') } });
});
