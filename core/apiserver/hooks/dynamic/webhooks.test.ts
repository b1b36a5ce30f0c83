import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { Scope, systemClock } from '#base';
import { openApiServer } from '../../../../test/fixtures/open-server.ts';
import { createAuthority, issueServing } from '../../../wire/pki.ts';
import { createAuthorizer } from '../../auth/authorizer.ts';
import type { ApiServer } from '../../contract.ts';

/** The real server asks a real webhook over TLS; what it says to clients is compared with upstream's in test/differential. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
type Any = any;
let scope: Scope;
let server: ApiServer;
let base: string;
let caBundle: string;
/** What the webhook was asked, and what it answers to that path. */
let asked: { path: string; request: Any }[] = [];
let answers: Record<string, (request: Any) => Any> = {};

beforeAll(async () => {
  scope = new Scope();
  const authority = await createAuthority('webhook', systemClock.now());
  const tls = await issueServing(authority, {
    commonName: 'webhook',
    ipAddresses: ['127.0.0.1'],
    dnsNames: [],
    days: 1,
    nowMs: systemClock.now(),
  });
  caBundle = Buffer.from(authority.cert).toString('base64');
  const hook = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const review = (await request.json()) as Any;
      asked.push({ path: pathname, request: review.request });
      const response = await answers[pathname]?.(review.request);
      if (!response) return new Response('no', { status: 500 });
      return Response.json({
        kind: 'AdmissionReview',
        apiVersion: 'admission.k8s.io/v1',
        response: { uid: review.request.uid, allowed: true, ...response },
      });
    },
  });
  scope.defer(() => hook.stop(true));
  base = `https://127.0.0.1:${hook.port}`;
  server = scope.use(
    await openApiServer({
      authorizer: createAuthorizer({ nodeUses: () => false }),
      streams: { 'pods/attach': async () => new Response('attached') },
    }),
  );
});
afterAll(() => scope[Symbol.asyncDispose]());

const configurations = '/apis/admissionregistration.k8s.io/v1';
const maps = '/api/v1/namespaces/default/configmaps';
async function call(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Any> {
  const response = await server.fetch(
    new Request(`http://localhost${path}`, {
      method,
      headers: { 'content-type': type },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
  const text = await response.text();
  return {
    status: response.status,
    warning: response.headers.get('warning'),
    ...(text.startsWith('{') ? JSON.parse(text) : { text }),
    code: response.status,
  };
}
const rule = (resources: string[], operations = ['*'], apiGroups = ['']) => ({
  operations,
  apiGroups,
  apiVersions: ['*'],
  resources,
});
const webhook = (name: string, more: object = {}) => ({
  name: `${name}.example.com`,
  clientConfig: { url: `${base}/${name}`, caBundle },
  rules: [rule(['configmaps'])],
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  ...more,
});
async function configure(sort: 'validating' | 'mutating', name: string, ...webhooks: object[]): Promise<void> {
  const made = await call('POST', `${configurations}/${sort}webhookconfigurations`, { metadata: { name }, webhooks });
  expect(made.message).toBeUndefined();
}
const map = (name: string, data: Record<string, string> = { a: '1' }, metadata: object = {}) => ({
  metadata: { name, ...metadata },
  data,
});
const jsonPatch = (...operations: object[]) => ({
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
});

beforeEach(async () => {
  asked = [];
  answers = {};
  for (const sort of ['validating', 'mutating']) await call('DELETE', `${configurations}/${sort}webhookconfigurations`);
  await call('DELETE', maps);
  asked = [];
});

describe('validating webhooks', () => {
  test('see the whole request, refuse and warn', async () => {
    await configure('validating', 'v', webhook('v'));
    answers['/v'] = ({ object }) =>
      object?.data?.a === 'bad'
        ? { allowed: false, status: { code: 418, reason: 'Teapot', message: 'no tea' }, warnings: ['hot'] }
        : { warnings: ['fine'] };
    expect(await call('POST', `${maps}?fieldManager=m`, map('x'))).toMatchObject({
      code: 201,
      warning: '299 - "fine"',
    });
    expect(asked[0]!.request).toMatchObject({
      kind: { group: '', version: 'v1', kind: 'ConfigMap' },
      resource: { group: '', version: 'v1', resource: 'configmaps' },
      requestKind: { group: '', version: 'v1', kind: 'ConfigMap' },
      name: 'x',
      namespace: 'default',
      operation: 'CREATE',
      userInfo: { username: 'admin', groups: ['system:masters', 'system:authenticated'] },
      object: { kind: 'ConfigMap', apiVersion: 'v1', data: { a: '1' } },
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', fieldManager: 'm' },
    });
    const refused = await call('PATCH', `${maps}/x`, { data: { a: 'bad' } }, 'application/merge-patch+json');
    expect(refused).toMatchObject({
      code: 418,
      reason: 'Teapot',
      message: 'admission webhook "v.example.com" denied the request: no tea',
    });
    expect(asked[1]!.request).toMatchObject({ operation: 'UPDATE', oldObject: { data: { a: '1' } } });
    await call('DELETE', `${maps}/x`, { gracePeriodSeconds: 0 });
    expect(asked[2]!.request).toMatchObject({
      operation: 'DELETE',
      object: null,
      oldObject: { metadata: { name: 'x' } },
      options: { kind: 'DeleteOptions', gracePeriodSeconds: 0 },
    });
  });

  test('are chosen by rules, selectors and conditions', async () => {
    await configure(
      'validating',
      'v',
      webhook('labels', { objectSelector: { matchLabels: { on: 'yes' } } }),
      webhook('spaces', { namespaceSelector: { matchLabels: { none: 'such' } } }),
      webhook('pods', { rules: [rule(['pods'])] }),
      webhook('updates', { rules: [rule(['configmaps'], ['UPDATE'])] }),
      webhook('conditions', {
        matchConditions: [
          { name: 'name', expression: 'object.metadata.name != "skip"' },
          { name: 'right', expression: 'authorizer.requestResource.check("create").allowed()' },
          { name: 'who', expression: 'request.userInfo.username == "admin" && !has(request.subResource)' },
        ],
      }),
    );
    for (const name of ['labels', 'spaces', 'pods', 'updates', 'conditions']) answers[`/${name}`] = () => ({});
    await call('POST', maps, map('skip'));
    expect(asked).toEqual([]);
    await call('POST', maps, map('other', {}, { labels: { on: 'yes' } }));
    expect(asked.map(({ path }) => path).sort()).toEqual(['/conditions', '/labels']);
  });

  test('that cannot be asked refuse or not, as their policy says; a condition that fails too', async () => {
    await configure('validating', 'v', webhook('broken', { failurePolicy: 'Ignore' }));
    expect((await call('POST', maps, map('a'))).code).toBe(201);
    await configure('validating', 'w', webhook('closed'));
    expect(await call('POST', maps, map('b'))).toMatchObject({
      code: 500,
      reason: 'InternalError',
      message: expect.stringMatching(
        /^Internal error occurred: failed calling webhook "closed\.example\.com": failed to call webhook: /,
      ),
    });
    await call('DELETE', `${configurations}/validatingwebhookconfigurations`);
    const failing = { matchConditions: [{ name: 'x', expression: 'object.spec.none == 1' }] };
    await configure('validating', 'v', webhook('condition', failing));
    expect(await call('POST', maps, map('c'))).toMatchObject({
      code: 403,
      message: expect.stringContaining(
        `configmaps "c" is forbidden: expression 'object.spec.none == 1' resulted in error: no such key: spec`,
      ),
    });
  });

  test('are given their time, and wrong answers are told', async () => {
    await configure('validating', 'v', webhook('slow', { timeoutSeconds: 1 }));
    const held = Promise.withResolvers<void>();
    answers['/slow'] = async () => {
      await held.promise;
      return {};
    };
    expect((await call('POST', maps, map('a'))).message).toContain('?timeout=1s": context deadline exceeded');
    held.resolve();
    answers['/slow'] = () => ({ uid: 'other' });
    expect((await call('POST', maps, map('a'))).message).toContain(
      'received invalid webhook response: expected response.uid=',
    );
    answers['/slow'] = () => jsonPatch({ op: 'remove', path: '/data' });
    expect((await call('POST', maps, map('a'))).message).toContain('validating webhook may not return response.patch');
  });

  test('cannot keep anybody from changing what configures them, nor be asked in a dry run when they have effects', async () => {
    await configure(
      'validating',
      'v',
      webhook('all', { rules: [rule(['*'], ['*'], ['*'])], sideEffects: 'NoneOnDryRun' }),
    );
    expect((await call('DELETE', `${configurations}/validatingwebhookconfigurations/v`)).code).toBe(200);
    expect(asked).toEqual([]);
  });

  test('are asked before somebody attaches to a pod', async () => {
    await configure('validating', 'v', webhook('attach', { rules: [rule(['pods/attach'], ['CONNECT'])] }));
    answers['/attach'] = () => ({ allowed: false, status: { message: 'attaching is not allowed' } });
    const path = '/api/v1/namespaces/default/pods/p/attach?container=c&stdin=true';
    expect(await call('GET', path)).toMatchObject({
      code: 400,
      message: 'admission webhook "attach.example.com" denied the request: attaching is not allowed',
    });
    expect(asked[0]!.request).toMatchObject({
      operation: 'CONNECT',
      kind: { kind: 'PodAttachOptions' },
      subResource: 'attach',
      name: 'p',
      object: { kind: 'PodAttachOptions', container: 'c', stdin: true },
      options: null,
    });
    answers['/attach'] = () => ({});
    expect((await call('GET', path)).text).toBe('attached');
  });
});

describe('mutating webhooks', () => {
  test('change the object one after the other; it is defaulted and checked afterwards', async () => {
    await configure(
      'mutating',
      'm',
      webhook('first', { rules: [rule(['configmaps', 'services'])] }),
      webhook('second'),
    );
    answers['/first'] = ({ resource }) =>
      resource.resource === 'services'
        ? jsonPatch({ op: 'add', path: '/spec/ports/-', value: { port: 81, name: 'more' } })
        : jsonPatch({ op: 'add', path: '/data/first', value: 'yes' });
    answers['/second'] = ({ object }) =>
      jsonPatch(
        { op: 'add', path: '/data/second', value: object.data.first ?? 'no' },
        { op: 'replace', path: '/metadata/name', value: 'stolen' },
        { op: 'add', path: '/strange', value: 1 },
      );
    expect(await call('POST', maps, map('x'))).toMatchObject({
      code: 201,
      metadata: { name: 'x' },
      data: { a: '1', first: 'yes', second: 'yes' },
    });
    expect((await call('GET', `${maps}/x`)).strange).toBeUndefined();
    const service = await call('POST', '/api/v1/namespaces/default/services', {
      metadata: { name: 's' },
      spec: { ports: [{ port: 80, name: 'one' }] },
    });
    expect(service.spec.ports).toMatchObject([{ port: 80 }, { port: 81, protocol: 'TCP', targetPort: 81 }]);
    answers['/second'] = () => jsonPatch({ op: 'add', path: '/data', value: { 'not a key': '' } });
    expect(await call('POST', maps, map('y'))).toMatchObject({ code: 422, reason: 'Invalid' });
  });

  test('are asked once more when they wish it and somebody changed the object after them', async () => {
    await configure(
      'mutating',
      'm',
      webhook('early', { reinvocationPolicy: 'IfNeeded' }),
      webhook('never'),
      webhook('late', { reinvocationPolicy: 'IfNeeded' }),
    );
    answers['/early'] = answers['/never'] = () => ({});
    answers['/late'] = ({ object }) =>
      object.data.late ? {} : jsonPatch({ op: 'add', path: '/data/late', value: 'yes' });
    expect((await call('POST', maps, map('x'))).data).toEqual({ a: '1', late: 'yes' });
    expect(asked.map(({ path }) => path)).toEqual(['/early', '/never', '/late', '/early']);
  });

  test('refuse deletions, but cannot change them', async () => {
    await call('POST', maps, map('x'));
    await configure('mutating', 'm', webhook('m', { rules: [rule(['configmaps'], ['DELETE'])] }));
    answers['/m'] = () => ({ allowed: false });
    expect((await call('DELETE', `${maps}/x`)).message).toBe(
      'admission webhook "m.example.com" denied the request without explanation',
    );
    answers['/m'] = () => jsonPatch({ op: 'remove', path: '/data' });
    expect((await call('DELETE', `${maps}/x`)).message).toContain('attempted to modify the object');
  });
});
