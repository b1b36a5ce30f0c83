import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { leftOf } from '../fixtures/leaks.ts';
import { expectOk, lacking, TestCluster } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = lacking();
if (why) skipped('e2e', 'bad requests', why);

const json = 'application/json';
const yaml = 'application/yaml';
const path = '/api/v1/namespaces/default/configmaps';
const map = (name: string, more = '') => `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${name}"}${more}}`;
const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
const bytes = (...parts: (string | number[])[]): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));

/** What, method, path, body, its type, status, a part of the message. Texts were compared with upstream's server. */
const rows: [string, string, string, string | Uint8Array, string, number, string][] = [
  ['half a body', 'POST', path, '{"apiVersion":"v1",', json, 400, "couldn't get version/kind"],
  ['nothing', 'POST', path, '', json, 400, 'unexpected end of JSON input (<empty>)'],
  ['a list', 'POST', path, '[1,2]', json, 400, 'cannot unmarshal array'],
  [
    'YAML, bad indent',
    'POST',
    path,
    'kind: ConfigMap\nmetadata:\n  name: a\n b: c\n',
    yaml,
    400,
    'yaml: line 4, column 1',
  ],
  ['YAML alias', 'POST', path, 'a: &x {}\nb: *x\n', yaml, 400, 'aliases are not allowed'],
  ['plain text', 'POST', path, 'x', 'text/plain', 415, 'accepted media types include: application/json'],
  ['another kind', 'POST', path, '{"apiVersion":"v1","kind":"Secret"}', json, 400, 'cannot be handled as a ConfigMap'],
  [
    'number for text',
    'POST',
    path,
    map('a', ',"data":{"x":5}'),
    json,
    400,
    'json: cannot unmarshal number into Go struct field',
  ],
  ['a bad name', 'POST', path, map('Bad_Name'), json, 422, 'a lowercase RFC 1123 subdomain must consist of'],
  ['a long name', 'POST', path, map('a'.repeat(254)), json, 422, 'must be no more than 253 characters'],
  ['a bad key', 'POST', path, map('k', ',"data":{"a b":"x"}'), json, 422, 'a valid config key must consist of'],
  ['no namespace', 'POST', '/api/v1/namespaces/none/configmaps', map('a'), json, 404, 'namespaces "none" not found'],
  ['over 3 MiB', 'POST', path, map('a', `,"data":{"a":"${'x'.repeat(3 * 2 ** 20)}"}`), json, 413, 'limit is 3145728'],
  [
    'data over 1 MiB',
    'POST',
    path,
    map('a', `,"data":{"a":"${'x'.repeat(2 ** 20 + 1)}"}`),
    json,
    422,
    'may not be more than 1048576 bytes',
  ],
  ['depth 200', 'POST', path, map('a', `,"data":${deep(200)}`), json, 400, 'nested deeper than 100 levels'],
  ['depth a million', 'POST', path, '['.repeat(1_000_000), json, 400, 'nested deeper than 100 levels'],
  [
    'a key twice, strictly',
    'POST',
    `${path}?fieldValidation=Strict`,
    map('a', ',"data":{"a":"1","a":"2"}'),
    json,
    400,
    'strict decoding error: duplicate field "data.a"',
  ],
  [
    'an unknown field, strictly',
    'POST',
    `${path}?fieldValidation=Strict`,
    map('a', ',"dta":{}'),
    json,
    400,
    'strict decoding error: unknown field "dta"',
  ],
  ['no UTF-8', 'POST', path, bytes('{"data":{"a":"', [0xff, 0xfe], '"}}'), json, 400, 'the body is not valid UTF-8'],
  ['__proto__', 'POST', path, map('a', ',"data":{"__proto__":"x"}'), json, 400, '"__proto__" is not allowed'],
  ['a huge number', 'POST', path, map('a', ',"x":99999999999999999999'), json, 400, 'too large to be kept exactly'],
  [
    'a stale version',
    'PUT',
    `${path}/kept`,
    '{"metadata":{"name":"kept","resourceVersion":"1"}}',
    json,
    409,
    'Operation cannot be fulfilled on configmaps "kept": the object has been modified; please apply your changes to the latest version and try again',
  ],
  ['another name', 'PUT', `${path}/kept`, map('other'), json, 400, 'does not match'],
  ['it exists', 'POST', path, map('kept'), json, 409, 'configmaps "kept" already exists'],
  ['an unknown patch', 'PATCH', `${path}/kept`, '{}', json, 415, 'Unsupported Media Type'],
  [
    'a patch to nowhere',
    'PATCH',
    `${path}/kept`,
    '[{"op":"remove","path":"/data/none"}]',
    'application/json-patch+json',
    422,
    'the server rejected our request',
  ],
  ['a method that is not', 'PATCH', path, '{}', 'application/merge-patch+json', 405, 'does not allow this method'],
];

describe.skipIf(why !== '')('bad requests get a Status, and the apiserver lives on', () => {
  const cluster = new TestCluster();
  let clusterId = '';
  let pid = 0;
  const apiserver = () => cluster.state!.components.find((one) => one.name === 'apiserver')!;
  beforeAll(async () => {
    await cluster.up('--runtime', 'process');
    clusterId = cluster.config.clusterId;
    pid = apiserver().process!.pid;
    expectOk(await cluster.kubectl(['create', 'configmap', 'kept', '--from-literal=a=b']));
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  for (const [what, method, at, body, type, status, message] of rows)
    test(`${what}: ${status}`, async () => {
      const answer = await cluster.api(at, { method, body, headers: { 'content-type': type } } as RequestInit);
      const object = (await answer.json()) as { kind: string; status: string; code: number; message: string };
      expect(object).toMatchObject({ kind: 'Status', status: 'Failure', code: status });
      expect(answer.status).toBe(status);
      expect(object.message).toContain(message);
    });

  test('kubectl shows every mistake of a manifest at once', async () => {
    const stdin = `apiVersion: v1
kind: Pod
metadata: {name: Bad, labels: {"a b": c}}
spec:
  restartPolicy: Sometimes
  containers:
  - {name: A_, image: ""}
  - {name: b, image: x, ports: [{containerPort: 0}], env: [{name: ""}]}
  - {name: b, image: other}
`;
    const { code, err } = await cluster.kubectl(['create', '-f', '-'], { stdin });
    expect(code).toBe(1);
    for (const field of [
      'metadata.name',
      'metadata.labels',
      'spec.restartPolicy',
      'spec.containers[0].name',
      'spec.containers[0].image',
      'spec.containers[1].ports[0].containerPort',
      'spec.containers[1].env[0].name',
      'spec.containers[2].name',
    ])
      expect(err).toContain(`${field}: `);
  });

  test('kubectl with broken YAML and with a field that is not', async () => {
    const broken = await cluster.kubectl(['apply', '-f', '-'], { stdin: 'apiVersion: v1\nkind: ConfigMap\n  a: b\n' });
    expect(broken.err).toContain('line 3');
    const stdin = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: typo}\ndta: {a: b}\n';
    const unknown = await cluster.kubectl(['apply', '-f', '-'], { stdin });
    expect(unknown.code).toBe(1);
    expect(unknown.err).toContain('unknown field "dta"');
  });

  test('the same process answers as before, and what was stored is untouched', async () => {
    expect(apiserver()).toMatchObject({ restarts: 0, process: { pid } });
    expect(
      expectOk(await cluster.kubectl(['get', 'configmap', '-o', 'name']))
        .trim()
        .split('\n')
        .sort(),
    ).toEqual(['configmap/kept', 'configmap/kube-root-ca.crt']);
  });

  test('nothing is left', async () => {
    await cluster[Symbol.asyncDispose]();
    expect(await leftOf(cluster.home.folder, clusterId)).toEqual([]);
  });
});
