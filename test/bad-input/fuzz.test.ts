import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import type { ApiServer } from '../../core/apiserver/contract.ts';
import { send, startServer } from './world.ts';

/**
 * Seeded random requests of every shape: no answer is 5xx, and what is stored reads back as it was and validates again.
 * FUZZ_CASES=100000 FUZZ_SEED=… is the long run. A request that failed is kept in corpus/ and runs first from then on.
 */
const cases = Number(Bun.env['FUZZ_CASES'] ?? 1_500);
const seed = Number(Bun.env['FUZZ_SEED'] ?? 20_261);
const corpus = join(import.meta.dir, 'corpus');

interface Wild {
  readonly method: string;
  readonly path: string;
  readonly type: string;
  /** Base64. */
  readonly body?: string;
  readonly accept?: string;
}

let server: ApiServer;
beforeAll(async () => {
  server = await startServer();
  await attempt({
    method: 'POST',
    path: '/api/v1/namespaces/default/serviceaccounts',
    type: 'application/json',
    body: base64('{"metadata":{"name":"default"}}'),
  });
});
afterAll(() => server[Symbol.asyncDispose]());

const base64 = (text: string | Uint8Array) => Buffer.from(text as string).toString('base64');
const word = fc.oneof(
  fc.constantFrom(
    'a',
    'x',
    '__proto__',
    'constructor',
    'toString',
    'name',
    'metadata',
    'spec',
    'data',
    '$patch',
    'labels',
    '',
    '\0',
    '\ud800',
    'é',
    '..',
    '-',
    '/',
  ),
  fc.string({ maxLength: 8 }),
);
const names = [
  'metadata',
  'spec',
  'data',
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
  'containers',
  'ports',
  'selector',
  'managedFields',
  'name',
  'namespace',
  'resourceVersion',
  'uid',
  'kind',
  'apiVersion',
  'status',
  'replicas',
  'template',
  '$patch',
  '$retainKeys',
  '$setElementOrder/containers',
  '$deleteFromPrimitiveList/finalizers',
  'fieldsV1',
  'rules',
  'immutable',
  'type',
  'volumes',
  'env',
];
const scalar = fc.oneof(
  word,
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    1e21,
    2 ** 53,
    2 ** 31,
    'delete',
    'replace',
    '1Gi',
    '2020-01-01T00:00:00Z',
  ),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 5, depthSize: 'small' }, scalar, tie('object'), fc.array(tie('value'), { maxLength: 4 })),
  object: fc.dictionary(fc.oneof(fc.constantFrom(...names), word), tie('value'), { maxKeys: 6 }),
}));
const base: Readonly<Record<string, () => object>> = {
  configmaps: () => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'fuzz' }, data: { a: '1' } }),
  secrets: () => ({ metadata: { name: 'fuzz' }, type: 'Opaque', stringData: { a: '1' } }),
  services: () => ({ metadata: { name: 'fuzz' }, spec: { ports: [{ port: 80 }], selector: { a: 'b' } } }),
  pods: () => ({ metadata: { name: 'fuzz' }, spec: { containers: [{ name: 'a', image: 'a' }] } }),
  replicationcontrollers: () => ({
    metadata: { name: 'fuzz' },
    spec: {
      replicas: 1,
      selector: { a: 'b' },
      template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'a', image: 'a' }] } },
    },
  }),
  serviceaccounts: () => ({ metadata: { name: 'fuzz' } }),
};
const resource = fc.constantFrom(...Object.keys(base));

/** An object that is nearly right: some of its values are replaced. */
const nearly = fc.tuple(resource, fc.array(fc.tuple(fc.nat(30), value), { maxLength: 3 })).map(([plural, changes]) => {
  const object = base[plural]!() as Record<string, unknown>;
  for (const [at, wild] of changes) {
    const places: [Record<string, unknown>, string][] = [];
    const walk = (inner: unknown): void => {
      if (typeof inner !== 'object' || inner === null) return;
      for (const key of Object.keys(inner)) {
        places.push([inner as Record<string, unknown>, key]);
        walk((inner as Record<string, unknown>)[key]);
      }
    };
    walk(object);
    const [owner, key] = places[at % places.length]!;
    if (at % 3 === 0) owner[names[at % names.length]!] = wild;
    else owner[key] = wild;
  }
  return { plural, object };
});
const broken = (text: string, cut: number): string => (cut % 4 === 0 ? text.slice(0, cut % (text.length + 1)) : text);
const pathOf = (plural: string) => `/api/v1/namespaces/default/${plural}`;

const creations = fc
  .tuple(
    nearly,
    fc.nat(),
    fc.constantFrom('application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'),
  )
  .map(
    ([{ plural, object }, cut, type]): Wild => ({
      method: 'POST',
      path: pathOf(plural),
      type,
      body: base64(broken(JSON.stringify(object), cut)),
    }),
  );
const bytes = fc.tuple(resource, fc.uint8Array({ maxLength: 200 }), fc.boolean()).map(
  ([plural, raw, magic]): Wild => ({
    method: 'POST',
    path: pathOf(plural),
    type: 'application/vnd.kubernetes.protobuf',
    body: base64(magic ? Buffer.concat([Buffer.from('k8s\0'), raw]) : raw),
  }),
);
const texts = fc
  .tuple(
    resource,
    fc.array(
      fc.oneof(
        word,
        fc.constantFrom(
          '\n',
          ': ',
          '- ',
          '[',
          ']',
          '{',
          '}',
          '&a ',
          '*a',
          '!!x ',
          '"',
          "'",
          '#',
          '|',
          '>',
          '---',
          '<<: ',
          '? ',
        ),
      ),
      { maxLength: 30 },
    ),
  )
  .map(
    ([plural, parts]): Wild => ({
      method: 'POST',
      path: pathOf(plural),
      type: 'application/yaml',
      body: base64(parts.join('').toWellFormed()),
    }),
  );
const updates = fc
  .tuple(nearly, fc.constantFrom('PUT', 'merge-patch+json', 'strategic-merge-patch+json', 'apply-patch+yaml'))
  .map(
    ([{ plural, object }, how]): Wild => ({
      method: how === 'PUT' ? how : 'PATCH',
      path: `${pathOf(plural)}/fuzz?fieldManager=f&force=${how.startsWith('apply')}`.replace('&force=false', ''),
      type: how === 'PUT' ? 'application/json' : `application/${how}`,
      body: base64(JSON.stringify(object)),
    }),
  );
const pointer = fc
  .array(fc.oneof(fc.constantFrom(...names), word, fc.constantFrom('0', '1', '-', '99999999999', '01')), {
    maxLength: 5,
  })
  .map((parts) => parts.map((part) => `/${part}`).join(''));
const operations = fc
  .tuple(
    resource,
    fc.array(
      fc.record(
        {
          op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'),
          path: pointer,
          from: pointer,
          value,
        },
        { requiredKeys: ['op', 'path'] },
      ),
      { maxLength: 5 },
    ),
  )
  .map(
    ([plural, list]): Wild => ({
      method: 'PATCH',
      path: `${pathOf(plural)}/fuzz`,
      type: 'application/json-patch+json',
      body: base64(JSON.stringify(list)),
    }),
  );
const soup = (...parts: string[]) =>
  fc.array(fc.oneof(fc.constantFrom(...parts), word), { maxLength: 8 }).map((list) => list.join(''));
const escaped = (text: string) => encodeURIComponent(text.toWellFormed());
const reads = fc
  .tuple(
    resource,
    soup('a', '=', '!=', ',', ' in (', ')', '!', '>', '1', ' notin (', '=='),
    soup('metadata.name', '=', ',', '\\', '!=', 'spec.nodeName'),
    soup('1', '-', '0', '9999999999'),
    soup('eyJ2Ijoi', 'm', '='),
  )
  .map(
    ([plural, labels, fields, number, token]): Wild => ({
      method: 'GET',
      type: 'application/json',
      accept: ['*/*', 'application/json;as=Table;v=v1;g=meta.k8s.io', 'application/yaml', 'a/b;q=x', token][
        fields.length % 5
      ]!.replace(/[^\x20-\x7e]/g, ''),
      path: `${pathOf(plural)}?labelSelector=${escaped(labels)}&fieldSelector=${fields.length % 2 ? escaped(fields) : ''}&limit=${escaped(number)}&continue=${labels.length % 3 ? '' : escaped(token)}`,
    }),
  );
const places = fc
  .tuple(
    fc.constantFrom('GET', 'DELETE', 'PUT', 'POST', 'PATCH', 'HEAD', 'OPTIONS'),
    soup(
      '/',
      'api',
      '/v1',
      '/apis',
      '/namespaces',
      '/default',
      '/pods',
      '/fuzz',
      '/status',
      '%2f',
      '%00',
      '%',
      '..',
      '//',
      '?',
      'watch=0',
    ),
  )
  .map(
    ([method, path]): Wild => ({
      method,
      type: 'application/json',
      path: `/${path.toWellFormed()}`.replace('watch', 'wait').replace('//', '/'),
    }),
  );

async function attempt(wild: Wild): Promise<{ code: number; text: string }> {
  const url = URL.parse(`https://localhost${wild.path}`);
  if (!url) return { code: 400, text: '' };
  const request = new Request(url.href, {
    method: wild.method,
    headers: { 'x-user': 'a', 'content-type': wild.type, ...(wild.accept && { accept: wild.accept }) },
    body: wild.body === undefined ? undefined : Buffer.from(wild.body, 'base64'),
  });
  return send(server, request);
}

/** Upstream answers a few of them so, in the same words. */
const upstreams500 = /failed to create typed patch object|strconv\.ParseUint/;

async function check(wild: Wild): Promise<void> {
  const { code, text } = await attempt(wild);
  if (code >= 500 && !upstreams500.test(text)) throw new Error(`${code}: ${text.slice(0, 500)}`);
  if (
    (wild.method === 'POST' || wild.method === 'PUT' || wild.method === 'PATCH') &&
    code < 300 &&
    wild.path.startsWith(pathOf('')) &&
    !wild.accept
  )
    await roundTrip(JSON.parse(text), wild);
}

/** I15: what was stored is read the same, and is taken again as it is. */
async function roundTrip(stored: { metadata?: { name?: string } }, { path }: Wild): Promise<void> {
  const name = stored.metadata?.name;
  const plural = path.split(/[/?]/)[5]!;
  if (!name || !base[plural]) return;
  const place = `${pathOf(plural)}/${name}`;
  const read = await attempt({ method: 'GET', path: place, type: 'application/json' });
  expect(JSON.parse(read.text)).toEqual(stored);
  const again = await attempt({ method: 'PUT', path: place, type: 'application/json', body: base64(read.text) });
  expect({ code: again.code, text: again.code === 200 ? '' : again.text }).toEqual({ code: 200, text: '' });
  expect(JSON.parse(again.text)).toEqual(stored);
}

for (const file of readdirSync(corpus).filter((name) => name.endsWith('.json')))
  test(`corpus: ${file}`, () => check(JSON.parse(readFileSync(join(corpus, file), 'utf8')) as Wild));

test(`${cases} random requests`, async () => {
  const wild = fc.oneof(creations, bytes, texts, updates, operations, reads, places);
  let last: Wild | undefined;
  const details = await fc.check(
    fc.asyncProperty(wild, async (one) => {
      last = one;
      await check(one);
    }),
    { seed, numRuns: cases, endOnFailure: false },
  );
  if (!details.failed) return;
  const found = details.counterexample?.[0] ?? last!;
  const text = `${JSON.stringify(found, null, 2)}\n`;
  writeFileSync(join(corpus, `${Bun.hash(text).toString(16)}.json`), text);
  throw new Error(
    `${JSON.stringify(found)} ${Buffer.from(found.body ?? '', 'base64').toString()}\n${String(details.errorInstance)}`,
  );
}, 600_000);
