import { expect, test } from 'bun:test';
import { configMapKind, type ResourceVersion } from '#api';
import { CachedObject, encodeStored, storeKey } from '../cached-object.ts';
import type { AnyKind, AnyObject, ServedKind } from '../contract.ts';
import { defaultStrategy } from '../default-strategy.ts';
import { decodeProtobuf } from './decode.ts';
import { Encodings, watchFrame } from './encodings.ts';
import table from './gen/table.json';

const kind = configMapKind as AnyKind;
const served: ServedKind = { kind, strategy: defaultStrategy(kind) };
const map = (name: string, data = { a: 'ä' }): CachedObject => {
  const object = { metadata: { name, namespace: 'n', creationTimestamp: '2026-01-02T03:04:05Z' }, data };
  const bytes = encodeStored(served, object as unknown as AnyObject);
  return new CachedObject(served, storeKey(kind, 'n', name), '7' as ResourceVersion, bytes);
};

test('an object and a list read back as they are in JSON', () => {
  const encodings = new Encodings();
  const [a, b] = [map('a'), map('b', { a: '' })];
  expect(decodeProtobuf(encodings.object(a), table)).toEqual(a.object);
  const list = decodeProtobuf(encodings.list(kind, { resourceVersion: '9', remainingItemCount: 3 }, [a, b]), table);
  expect(list).toMatchObject({ kind: 'ConfigMapList', metadata: { resourceVersion: '9', remainingItemCount: 3 } });
  expect((list['items'] as AnyObject[]).map((item) => item.metadata.name)).toEqual(['a', 'b']);
});

test('messages are kept, and the oldest go when the bound is reached', () => {
  const encodings = new Encodings(1000);
  const first = map('first');
  const message = encodings.message(first);
  expect(encodings.message(first)).toBe(message);
  for (let index = 0; index < 20; index++) encodings.message(map(`m${index}`));
  expect(encodings.keptBytes).toBeLessThanOrEqual(1000);
  expect(encodings.message(first)).not.toBe(message);
});

test('what has no form is not encoded', () => {
  const encodings = new Encodings();
  expect(encodings.has({ ...kind, group: 'example.com', kind: 'Widget' })).toBe(false);
  expect(encodings.has({ ...kind, group: 'example.com', kind: 'Status' })).toBe(false);
  expect(encodings.value({ apiVersion: 'example.com/v1', kind: 'Widget' })).toBeUndefined();
});

test('a frame: its length, the type, the object', () => {
  const frame = watchFrame('ADDED', Uint8Array.from([1, 2, 3]));
  expect([...frame]).toEqual([0, 0, 0, 14, 0x0a, 5, ...Buffer.from('ADDED'), 0x12, 5, 0x0a, 3, 1, 2, 3]);
});

test('the verbs of discovery are a message of their own, and schemas hold one schema or something else', () => {
  const resources = [{ name: 'a', singularName: '', namespaced: false, kind: 'A', verbs: ['get', 'list'] }];
  const discovery = { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'g/v1', resources };
  const bytes = new Encodings().value(discovery)!;
  expect(Buffer.from(bytes).toString('latin1')).toContain('\x22\x0b\x0a\x03get\x0a\x04list');
  expect(decodeProtobuf(bytes, table)['resources']).toEqual([{ name: 'a', kind: 'A', verbs: ['get', 'list'] }]);
  const schema = {
    type: 'object',
    additionalProperties: true,
    items: { type: 'string' },
    not: { additionalProperties: { type: 'string' } },
  };
  const versions = [{ name: 'v1', schema: { openAPIV3Schema: { ...schema, default: { a: 0 }, enum: [1, 'x'] } } }];
  const definition = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', spec: { versions } };
  expect(decodeProtobuf(new Encodings().value(definition)!, table)).toMatchObject(definition);
});
