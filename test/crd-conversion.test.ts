// Versions converted by a webhook that answers over TLS: what it is asked, and what becomes of wrong answers.
import { expect, test } from 'bun:test';
import { Scope, systemClock } from '#base';
import { createAuthority, issueServing } from '../core/wire/pki.ts';
import { customServer, establish, type Json } from './fixtures/custom-resources.ts';

interface Review {
  readonly request: { readonly uid: string; readonly desiredAPIVersion: string; readonly objects: Json[] };
}
type Answer = (review: Review['request'], converted: Json[]) => unknown;

async function webhook(scope: Scope, answer: () => Answer) {
  const authority = await createAuthority('conversion', systemClock.now());
  const subject = { commonName: 'conversion', ipAddresses: ['127.0.0.1'], dnsNames: [], days: 1 };
  const tls = await issueServing(authority, { ...subject, nowMs: systemClock.now() });
  const asked: Review['request'][] = [];
  const hook = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls,
    async fetch(request) {
      const { request: review } = (await request.json()) as Review;
      asked.push(review);
      const converted = review.objects.map((object) => convert(object, review.desiredAPIVersion));
      const given = await answer()(review, converted);
      return given instanceof Response ? given : Response.json({ response: given });
    },
  });
  scope.defer(() => hook.stop(true));
  return { asked, url: `https://127.0.0.1:${hook.port}/convert`, ca: Buffer.from(authority.cert).toString('base64') };
}
function convert(object: Json, apiVersion: string): Json {
  const { host, port, address = `${host as string}:${port as string}` } = object['spec'] as Record<string, string>;
  const [before, behind] = String(address).split(':');
  return { ...object, apiVersion, spec: apiVersion.endsWith('v2') ? { host: before, port: behind } : { address } };
}
const success: Answer = ({ uid }, convertedObjects) => ({ uid, result: { status: 'Success' }, convertedObjects });

const text = { type: 'string' };
const version = (name: string, storage: boolean, fields: readonly string[]): Json => ({
  name,
  served: true,
  storage,
  schema: {
    openAPIV3Schema: {
      type: 'object',
      properties: { spec: { type: 'object', properties: Object.fromEntries(fields.map((field) => [field, text])) } },
    },
  },
});
const definition = (clientConfig: Json): Json => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'foos.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'foos', kind: 'Foo' },
    versions: [version('v1', true, ['address']), version('v2', false, ['host', 'port'])],
    conversion: { strategy: 'Webhook', webhook: { clientConfig, conversionReviewVersions: ['v1'] } },
  },
});
const at = (name: string) => `/apis/example.com/${name}/namespaces/default/foos`;
const foo = (name: string): Json => ({
  apiVersion: 'example.com/v1',
  kind: 'Foo',
  metadata: { name },
  spec: { address: `${name}:1` },
});

test('a webhook with its own authority converts what is read, and lists in one question', async () => {
  await using scope = new Scope();
  const hook = await webhook(scope, () => success);
  const { send } = await customServer(scope);
  await establish(send, definition({ url: hook.url, caBundle: hook.ca }));
  for (const name of ['a', 'b', 'c']) expect((await send('POST', at('v1'), foo(name))).code).toBe(201);
  expect(hook.asked).toEqual([]); // the stored version needs nobody
  const items = (await send('GET', at('v2'))).body['items'] as Json[];
  expect(items.map(({ spec }) => spec)).toEqual(['a', 'b', 'c'].map((host) => ({ host, port: '1' })));
  expect(hook.asked.map(({ objects }) => objects.length)).toEqual([3]);
  expect((await send('GET', `${at('v2')}/b`)).body['spec']).toEqual({ host: 'b', port: '1' });
});

test('an authority that is not the one of the definition', async () => {
  await using scope = new Scope();
  const hook = await webhook(scope, () => success);
  const other = await createAuthority('other', systemClock.now());
  const { send } = await customServer(scope);
  await establish(send, definition({ url: hook.url, caBundle: Buffer.from(other.cert).toString('base64') }));
  await send('POST', at('v1'), foo('a'));
  const refused = await send('GET', `${at('v2')}/a`);
  expect(refused.code).toBe(500);
  expect(refused.body['message']).toContain(
    `conversion webhook for example.com/v1, Kind=Foo failed: Post "${hook.url}": `,
  );
  expect(hook.asked).toEqual([]);
});

test('wrong answers fail the request and say what is wrong; right ones again bring it back', async () => {
  await using scope = new Scope();
  let answer: Answer = success;
  const hook = await webhook(scope, () => answer);
  const { send } = await customServer(scope, { webhookMs: 500 });
  await establish(send, definition({ url: hook.url, caBundle: hook.ca }));
  await send('POST', at('v1'), foo('a'));
  await send('POST', at('v1'), foo('b'));
  const renamed = (object: Json, more: Json): Json => ({
    ...object,
    metadata: { ...(object['metadata'] as Json), ...more },
  });
  const wrong: readonly (readonly [string, Answer])[] = [
    ['failed: no response provided', () => undefined],
    [
      'failed: expected response.uid=',
      (_review, objects) => ({ uid: 'x', result: { status: 'Success' }, convertedObjects: objects }),
    ],
    ['failed: no thanks', ({ uid }) => ({ uid, result: { status: 'Failure', message: 'no thanks' } })],
    [
      "failed: response.result.status was '', not 'Success'",
      ({ uid }, convertedObjects) => ({ uid, convertedObjects }),
    ],
    ['returned 1 objects, expected 2', (review, objects) => success(review, objects.slice(1))],
    [
      'returned invalid converted object at index 0: must have the same name: b != a',
      (review, objects) => success(review, objects.reverse()),
    ],
    [
      'returned invalid converted object at index 1: invalid kind (expected Foo, received Bar)',
      (review, [a, b]) => success(review, [a!, { ...b, kind: 'Bar' }]),
    ],
    [
      'returned invalid converted object at index 0: must have the same UID: x != ',
      (review, [a, b]) => success(review, [renamed(a!, { uid: 'x' }), b!]),
    ],
    [
      'returned invalid converted object at index 0: missing metadata in converted object',
      (review, [a, b]) => success(review, [{ ...a, metadata: undefined }, b!]),
    ],
    ['failed: Post ', () => new Response('broken', { status: 500 })],
    ['context deadline exceeded', () => Bun.sleep(3_000)],
  ];
  for (const [why, given] of wrong) {
    answer = given;
    const { code, body } = await send('GET', at('v2'));
    expect([why, code]).toEqual([why, 500]);
    expect(body['message']).toContain('conversion webhook for example.com/v1, Kind=Foo ');
    expect(body['message']).toContain(why);
  }
  expect((await send('GET', at('v1'))).code).toBe(200); // the stored version is served all the while
  answer = (review, objects) =>
    success(
      review,
      objects.map((object) => renamed(object, { labels: { by: 'webhook' }, generation: 99 })),
    );
  const items = (await send('GET', at('v2'))).body['items'] as { metadata: Json; spec: Json }[];
  expect(items.map(({ metadata, spec }) => [metadata['labels'], metadata['generation'], spec['host']])).toEqual([
    [{ by: 'webhook' }, 1, 'a'],
    [{ by: 'webhook' }, 1, 'b'],
  ]);
}, 60_000);
