import { describe, expect, test } from 'bun:test';
import { faultsInOrder, scanJson } from '../json-scan.ts';
import { createSchemaEngine } from './schema.ts';

const schema = createSchemaEngine();
const pod = 'io.k8s.api.core.v1.Pod';
const decode = (object: Record<string, unknown>, type = pod) => schema.decode(type, object);

describe('what cannot be decoded', () => {
  // The texts are those that clients of the original see.
  const cases: [object, string][] = [
    [
      { spec: { containers: 'x' } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container',
    ],
    [
      { spec: { containers: [{ name: 5 }] } },
      'json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string',
    ],
    [
      { spec: { terminationGracePeriodSeconds: '3' } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64',
    ],
    [
      { metadata: { labels: { a: 1 } } },
      'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string',
    ],
    [
      { metadata: { creationTimestamp: 'xx' } },
      'parsing time "xx" as "2006-01-02T15:04:05Z07:00": cannot parse "xx" as "2006"',
    ],
    [
      { spec: { hostNetwork: 'yes' } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool',
    ],
    [{ spec: [] }, 'json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec'],
    [
      { spec: { priority: 99999999999 } },
      'json: cannot unmarshal number 99999999999 into Go struct field PodSpec.spec.priority of type int32',
    ],
    [
      { spec: { containers: [{ resources: { limits: { cpu: '1x' } } }] } },
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
  ];
  test.each(cases)('%j', (object, message) => {
    expect(decode(object as Record<string, unknown>).errors.map((error) => error.message)).toEqual([message]);
  });
  test('base64', () => {
    expect(decode({ data: { a: '###' } }, 'io.k8s.api.core.v1.Secret').errors[0]?.message).toBe(
      'illegal base64 data at input byte 0',
    );
  });
});

test('unknown fields are removed and named', () => {
  const object = { spec: { foo: 1, containers: [{ name: 'x', bar: 2 }] } };
  expect(decode(object)).toEqual({ unknown: ['spec.foo', 'spec.containers[0].bar'], errors: [] });
  expect(object as unknown).toEqual({ spec: { containers: [{ name: 'x' }] } });
});

test('nulls, zeroes and empty lists are absent; scalars get their canonical form', () => {
  const object = {
    metadata: { creationTimestamp: '2026-01-02T03:04:05.678+01:00', labels: {}, generateName: '' },
    spec: {
      nodeName: null,
      hostNetwork: false,
      volumes: [],
      priority: 0,
      containers: [{ resources: { limits: { cpu: '1000m', memory: '1024Mi', pods: 3 } } }],
    },
  };
  expect(decode(object).errors).toEqual([]);
  expect(object as unknown).toEqual({
    metadata: { creationTimestamp: '2026-01-02T02:04:05Z' },
    spec: { priority: 0, containers: [{ resources: { limits: { cpu: '1', memory: '1Gi', pods: '3' } } }] },
  });
});

test('structural defaults reach into lists', () => {
  const object = { spec: { containers: [{ name: 'x', ports: [{ containerPort: 1 }] }] } };
  schema.default(pod, object);
  expect(object as unknown).toEqual({
    metadata: {},
    spec: { containers: [{ name: 'x', resources: {}, ports: [{ containerPort: 1, protocol: 'TCP' }] }] },
    status: {},
  });
});

test('a key named __proto__ is only an unknown field', () => {
  const object = JSON.parse('{"spec":{"__proto__":{"hostNetwork":true},"containers":[]}}') as Record<string, unknown>;
  expect(decode(object).unknown).toEqual(['spec.__proto__']);
  expect((object['spec'] as Record<string, unknown>)['hostNetwork']).toBeUndefined();
});

test('custom types are validated by their facts', () => {
  schema.define('example.v1.Thing', {
    fields: { size: { type: 'string', enum: ['S', 'M'] }, must: { type: 'string' } },
    required: ['must'],
  });
  expect(schema.validate('example.v1.Thing', { size: 'X' }).map((error) => `${error.field}: ${error.message}`)).toEqual(
    ['must: Required value', 'size: Unsupported value: "X": supported values: "S", "M"'],
  );
});

describe('duplicate keys', () => {
  const cases: [string, string[]][] = [
    ['{"a":1,"a":2}', ['a']],
    ['{"spec":{"containers":[{},{"name":"x","bar":{"name":1},"name":"y"}]}}', ['spec.containers[1].name']],
    ['{"a":"\\"a\\":1,","b":["a","a"],"\\u0061":2}', ['a']],
    ['{"a":{"b":1},"c":{"b":1}}', []],
  ];
  test.each(cases)('%s', (text, paths) => expect(scanJson(text).duplicates).toEqual(paths));
});

describe('integers', () => {
  test.each([
    ['9007199254740991', undefined],
    ['9007199254740993', '9007199254740993'],
    ['-9223372036854775808', '-9223372036854775808'],
    ['1.50000000000000000001', undefined],
    ['36893488147419100000', undefined],
  ])('%s', (number, big) => expect(scanJson(`{"a":[${number}]}`).bigNumber).toBe(big));
  test.each(['9223372036854775809', '-9223372036854775809', '1e400'])('%s is refused', (number) =>
    expect(() => scanJson(`[${number}]`)).toThrow('too large to be kept exactly'),
  );
});

test('faults come in the order of the text; what lies in an unknown field is not looked at', () => {
  const text = '{"b":1,"c":{"x":1,"x":2,"y":1},"u":{"a":1,"a":1},"c2":1,"b":2,"u":1}';
  expect(faultsInOrder(text, ['c.y', 'u', 'c2'])).toEqual([
    'duplicate field "c.x"',
    'unknown field "c.y"',
    'unknown field "u"',
    'unknown field "c2"',
    'duplicate field "b"',
  ]);
});
