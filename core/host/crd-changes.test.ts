import { expect, test } from 'bun:test';
import { breakingChanges, type DefinitionObject } from './crd-changes.ts';

const definition = (schema: object, more: { scope?: string; version?: string; stored?: string[] } = {}) =>
  ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'tasks.example.com' },
    spec: {
      group: 'example.com',
      scope: more.scope ?? 'Namespaced',
      names: { kind: 'Task', plural: 'tasks' },
      versions: [{ name: more.version ?? 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
    ...(more.stored ? { status: { storedVersions: more.stored } } : {}),
  }) as unknown as DefinitionObject;
const spec = (properties: object, more: object = {}) => ({
  type: 'object',
  properties: { spec: { type: 'object', properties, ...more } },
});
const text = { type: 'string' };

test.each<[string, object, object, string[]]>([
  ['nothing', spec({ a: text }), spec({ a: text }), []],
  ['a new optional field', spec({ a: text }), spec({ a: text, b: text }), []],
  ['a new required field', spec({ a: text }), spec({ a: text }, { required: ['a'] }), ['v1:.spec.a is required now']],
  ['a new required field with a default', spec({}), spec({ a: { ...text, default: 'x' } }, { required: ['a'] }), []],
  ['a removed field', spec({ a: text }), spec({}), ['v1:.spec.a is removed']],
  [
    'a removed field where unknown ones are kept',
    spec({ a: text }),
    spec({}, { 'x-kubernetes-preserve-unknown-fields': true }),
    [],
  ],
  [
    'another type',
    spec({ a: text }),
    spec({ a: { type: 'integer' } }),
    ['v1:.spec.a type changes from "string" to "integer"'],
  ],
  [
    'another default',
    spec({ a: { ...text, default: 'x' } }),
    spec({ a: { ...text, default: 'y' } }),
    ['v1:.spec.a default changes from "x" to "y"'],
  ],
  [
    'a removed enum value',
    spec({ a: { ...text, enum: ['x', 'y'] } }),
    spec({ a: { ...text, enum: ['x', 'z'] } }),
    ['v1:.spec.a enum value "y" is removed'],
  ],
  [
    'an enum where any text was good',
    spec({ a: text }),
    spec({ a: { ...text, enum: ['x'] } }),
    ['v1:.spec.a enum ["x"] is new'],
  ],
  [
    'tighter bounds, in lists and maps too',
    spec({
      n: { type: 'integer', minimum: 1 },
      l: { type: 'array', items: { type: 'string', maxLength: 9 } },
      m: { type: 'object', additionalProperties: { type: 'string' } },
    }),
    spec({
      n: { type: 'integer', minimum: 2 },
      l: { type: 'array', items: { type: 'string', maxLength: 8 } },
      m: { type: 'object', additionalProperties: { type: 'string', pattern: '^a' } },
    }),
    [
      'v1:.spec.n minimum changes from 1 to 2',
      'v1:.spec.l[] maxLength changes from 9 to 8',
      'v1:.spec.m.* pattern changes from none to "^a"',
    ],
  ],
  ['wider bounds', spec({ n: { type: 'integer', minimum: 2 } }), spec({ n: { type: 'integer', minimum: 1 } }), []],
  ['no pattern any more', spec({ a: { ...text, pattern: 'x' } }), spec({ a: text }), []],
])('%s', (_what, before, after, found) =>
  expect(breakingChanges(definition(before), definition(after))).toEqual(found),
);

test('scope, and versions of which objects are stored', () => {
  const before = definition(spec({}), { stored: ['v1beta1', 'v1'] });
  expect(breakingChanges(before, definition(spec({}), { scope: 'Cluster' }))).toEqual([
    'scope changes from Namespaced to Cluster',
    'stored version v1beta1 is removed',
  ]);
  expect(breakingChanges(definition(spec({}), { stored: [] }), definition(spec({}), { version: 'v2' }))).toEqual([
    'served version v1 is removed',
  ]);
});
