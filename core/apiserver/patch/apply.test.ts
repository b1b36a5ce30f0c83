import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { FieldSet } from './field-set.ts';
import { patches } from './patches.ts';

type Doc = Record<string, unknown>;
const configMap = 'io.k8s.api.core.v1.ConfigMap';
const pod = 'io.k8s.api.core.v1.Pod';
const map = (data: Doc, labels?: Doc): Doc => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'c', namespace: 'default', ...(labels && { labels }) },
  data,
});
const apply = (live: Doc | undefined, config: Doc, manager: string, force = false, type = configMap): Doc =>
  patches.serverSideApply(type, live, config, { manager, force, nowMs: 0 });
const managersOf = (object: Doc): string[] =>
  (
    (object['metadata'] as { managedFields?: { manager: string; operation: string; fieldsV1: Doc }[] }).managedFields ??
    []
  ).map((entry) => `${entry.manager} ${entry.operation} ${JSON.stringify(entry.fieldsV1)}`);

describe('server-side apply', () => {
  const first = apply(undefined, map({ a: '1' }, { x: 'y' }), 'm1');
  test('a creation is owned by its applier', () => {
    expect(managersOf(first)).toEqual(['m1 Apply {"f:data":{"f:a":{}},"f:metadata":{"f:labels":{"f:x":{}}}}']);
  });
  test('another value conflicts, in the words of the original', () => {
    expect(() => apply(first, map({ a: '2' }), 'm2')).toThrow(
      'Apply failed with 1 conflict: conflict with "m1": .data.a',
    );
  });
  test('the same value is shared', () => {
    expect(managersOf(apply(first, map({ a: '1' }), 'm2'))).toEqual([
      'm1 Apply {"f:data":{"f:a":{}},"f:metadata":{"f:labels":{"f:x":{}}}}',
      'm2 Apply {"f:data":{"f:a":{}}}',
    ]);
  });
  test('force takes over, and what the loser names no more goes', () => {
    const forced = apply(first, map({ a: '2' }), 'm2', true);
    expect(managersOf(forced)).toEqual([
      'm1 Apply {"f:metadata":{"f:labels":{"f:x":{}}}}',
      'm2 Apply {"f:data":{"f:a":{}}}',
    ]);
    const next = apply(forced, map({ b: '2' }), 'm1');
    expect(next['data']).toEqual({ a: '2', b: '2' });
    expect((next['metadata'] as Doc)['labels']).toBeUndefined();
    expect(managersOf(next)).toEqual(['m1 Apply {"f:data":{"f:b":{}}}', 'm2 Apply {"f:data":{"f:a":{}}}']);
  });
  test('an update takes over without asking, and then conflicts by its version', () => {
    const next = { ...first, data: { a: '3' } };
    patches.trackUpdate(configMap, first, next, { manager: 'u', nowMs: 0 });
    expect(managersOf(next)).toEqual([
      'm1 Apply {"f:metadata":{"f:labels":{"f:x":{}}}}',
      'u Update {"f:data":{"f:a":{}}}',
    ]);
    expect(() => apply(next, map({ a: '1' }), 'm1')).toThrow(
      'Apply failed with 1 conflict: conflict with "u" using v1: .data.a',
    );
  });
  test('applying the same twice changes nothing', () => {
    expect(apply(first, map({ a: '1' }, { x: 'y' }), 'm1')).toEqual(first);
  });
  test('list elements are owned by their keys', () => {
    const config = (image: string): Doc => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'x', image, ports: [{ containerPort: 80 }] }] },
    });
    const made = apply(undefined, config('i'), 'm', false, pod);
    expect(managersOf(made)).toEqual([
      'm Apply {"f:spec":{"f:containers":{"k:{\\"name\\":\\"x\\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\\"containerPort\\":80,\\"protocol\\":\\"TCP\\"}":{".":{},"f:containerPort":{}}}}}}}',
    ]);
    expect(() => apply(made, config('j'), 'n', false, pod)).toThrow('.spec.containers[name="x"].image');
    const other = { ...config('i'), spec: { containers: [{ name: 'y', image: 'k' }] } };
    const both = apply(made, other, 'n', false, pod);
    expect((both['spec'] as { containers: Doc[] }).containers.map((container) => container['name'])).toEqual([
      'x',
      'y',
    ]);
    const gone = apply(both, { ...config('i'), spec: {} }, 'n', false, pod);
    expect((gone['spec'] as { containers: Doc[] }).containers.map((container) => container['name'])).toEqual(['x']);
  });
  test('a manager has a name and sends no owners', () => {
    expect(() => apply(undefined, map({}), '')).toThrow('fieldManager: Required value: is required for apply patch');
    expect(() => apply(undefined, { metadata: { managedFields: [{}] } }, 'm')).toThrow(
      'metadata.managedFields must be nil',
    );
  });
  test('a status write owns only the status', () => {
    const live = { ...first, apiVersion: 'v1', spec: { nodeName: 'n' } };
    const next = { ...live, status: { phase: 'Running' } };
    patches.trackUpdate(pod, live, next, { manager: 'kubelet', subresource: 'status', nowMs: 0 });
    expect(managersOf(next).at(-1)).toBe('kubelet Update {"f:status":{"f:phase":{}}}');
  });
  test('a write that changes nothing keeps owners and times', () => {
    const next = structuredClone(first);
    patches.trackUpdate(configMap, first, next, { manager: 'u', nowMs: 99_000 });
    expect(next).toEqual(first);
  });
});

const data = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '2'));
test('applying is idempotent, and leaves others what they own', () => {
  fc.assert(
    fc.property(data, data, data, (one, two, three) => {
      const start = apply(apply(undefined, map(one), 'm1'), map(two), 'm2', true);
      const next = apply(start, map(three), 'm1', true);
      expect(apply(next, map(three), 'm1')).toEqual(next);
      expect(next['data'] ?? {}).toEqual({ ...two, ...three });
    }),
    { numRuns: 200 },
  );
});
test('field sets survive their JSON', () => {
  const json = { 'f:a': {}, 'f:b': { '.': {}, 'k:{"n":1}': { '.': {}, 'f:c': {} } } };
  expect(FieldSet.fromJson(json).toJson()).toEqual(json);
});

test("what a client sends back unchanged stays nobody's, though it is another piece of memory", () => {
  const live = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: {
      containers: [{ name: 'c', image: 'i', command: ['a', 'b'] }],
      tolerations: [{ key: 'k', operator: 'Exists' }],
    },
  };
  patches.trackUpdate(pod, undefined, live, { manager: 'a', nowMs: 0 });
  const next = structuredClone(live) as unknown as Doc & { metadata: Doc };
  next.metadata = { ...next.metadata, labels: { a: 'b' } };
  patches.trackUpdate(pod, live, next, { manager: 'm', nowMs: 0 });
  expect(managersOf(next).at(-1)).toBe('m Update {"f:metadata":{"f:labels":{".":{},"f:a":{}}}}');
});
test('a struct that is no pointer is new with what holds it, and only then', () => {
  const made = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', resources: { limits: { cpu: '1' } } }] },
  };
  patches.trackUpdate(pod, undefined, made, { manager: 'm', nowMs: 0 });
  expect(managersOf(made)).toEqual([
    'm Update {"f:spec":{"f:containers":{"k:{\\"name\\":\\"c\\"}":{".":{},"f:name":{},"f:resources":{".":{},"f:limits":{".":{},"f:cpu":{}}}}}}}',
  ]);
});
