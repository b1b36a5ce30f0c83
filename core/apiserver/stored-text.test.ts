import { expect, test } from 'bun:test';
import type { AnyObject } from './contract.ts';
import { objectText, shareText } from './stored-text.ts';

const entry = (fieldsV1: unknown, more: object = {}) => ({
  manager: 'me "quoted"',
  operation: 'Update',
  apiVersion: 'v1',
  time: '2026-01-01T00:00:00Z',
  fieldsType: 'FieldsV1',
  fieldsV1,
  ...more,
});
const fields = {
  'f:metadata': { 'f:labels': { '.': {}, 'f:a"b': {}, 'f:größer': {} } },
  'f:spec': { 'k:{"name":"web","port":80}': { '.': {}, 'f:x': {} }, 'v:"a\\b\u0001"': {}, 'f:\ud800': {} },
};

test.each<[string, object]>([
  ['without owners', { metadata: { name: 'x' } }],
  ['with no owners', { metadata: { name: 'x', managedFields: [] } }],
  ['with owners in the middle', { metadata: { name: 'x', managedFields: [entry(fields)], uid: 'u' }, spec: { a: 1 } }],
  ['with several', { metadata: { managedFields: [entry(fields, { subresource: 'status' }), entry({})] } }],
  ['with an entry without fields', { metadata: { managedFields: [{ manager: 'x' }, {}] } }],
  ['with fields that are none', { metadata: { managedFields: [entry(null), entry('text'), entry([1])] } }],
  ['with absent values', { metadata: { managedFields: [entry(fields, { time: undefined })], uid: undefined } }],
  [
    'with texts that look like the mark',
    { metadata: { annotations: { a: '"managedFields":0', managedFields: '0' }, managedFields: [entry(fields)] } },
  ],
])('%s the text is what JSON.stringify gives', (_, object) => {
  const whole = { apiVersion: 'v1', kind: 'Pod', ...object } as unknown as AnyObject;
  expect(objectText(whole)).toBe(JSON.stringify(whole));
});

test('a shared tree has one text', () => {
  const tree = structuredClone(fields['f:spec']);
  shareText(tree);
  const whole = { metadata: { managedFields: [entry({ 'f:spec': tree })] } } as unknown as AnyObject;
  expect(objectText(whole)).toBe(JSON.stringify(whole));
});

test('the text of an owner whose name looks like the place of its fields', () => {
  const entry = {
    manager: '"fieldsV1":0',
    operation: 'Update',
    fieldsV1: { 'f:a"b': {} },
    subresource: 'status',
  } as const;
  const object = { kind: 'Pod', metadata: { name: '"managedFields":0', managedFields: [entry, { manager: 'x' }] } };
  expect(objectText(object as never)).toBe(JSON.stringify(object));
  expect(objectText(object as never)).toBe(JSON.stringify(object)); // from the text that is kept
});
