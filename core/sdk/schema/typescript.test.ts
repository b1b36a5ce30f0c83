import { expect, test } from 'bun:test';
import { type DefinitionText, typesOf } from './typescript.ts';

const text = { type: 'string' };
const definition = (schema: object, more: DefinitionText['spec']['versions'] = []) => ({
  spec: {
    group: 'example.com',
    names: { kind: 'Foo' },
    versions: [{ name: 'v1', storage: true, schema: { openAPIV3Schema: { type: 'object', ...schema } } }, ...more],
  },
});
const spec = (properties: object, more: object = {}) =>
  definition({ properties: { spec: { type: 'object', properties, ...more } } });

test('an interface for each object, with what is written of it', () => {
  const made = typesOf(
    definition({
      description: 'A foo.',
      required: ['spec'],
      properties: {
        apiVersion: text,
        kind: text,
        metadata: { type: 'object' },
        spec: {
          type: 'object',
          required: ['size'],
          properties: {
            size: { type: 'integer', description: 'How large.\nIn metres. */', default: 3 },
            mode: { ...text, enum: ['On', "It's"] },
            port: { 'x-kubernetes-int-or-string': true },
            'odd-name': { type: 'boolean', nullable: true },
            rules: { type: 'array', items: { type: 'object', properties: { host: text } } },
            modes: { type: 'array', items: { ...text, enum: ['a', 'b'] } },
            labels: { type: 'object', additionalProperties: text },
            free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            any: { 'x-kubernetes-preserve-unknown-fields': true },
            template: { type: 'object', 'x-kubernetes-embedded-resource': true },
            half: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { a: text } },
          },
        },
      },
    }),
  );
  expect(made).toBe(`import type { ObjectMeta } from 'pintle/sdk';

/** A foo. */
export interface Foo {
  apiVersion: 'example.com/v1';
  kind: 'Foo';
  metadata: ObjectMeta;
  spec: FooSpec;
}

export interface FooSpec {
  /**
   * How large.
   * In metres. *\\/
   * Default: 3
   */
  size: number;
  mode?: 'On' | 'It\\'s';
  port?: number | string;
  'odd-name'?: boolean | null;
  rules?: FooSpecRulesItem[];
  modes?: ('a' | 'b')[];
  labels?: Record<string, string>;
  free?: Record<string, unknown>;
  any?: unknown;
  template?: { apiVersion: string; kind: string; metadata?: ObjectMeta; [key: string]: unknown };
  half?: FooSpecHalf;
}

export interface FooSpecRulesItem {
  host?: string;
}

export interface FooSpecHalf {
  a?: string;
  [key: string]: unknown;
}
`);
});

test('other versions carry their name; two places of one name are told apart', () => {
  const beta = { name: 'v1beta1', storage: false };
  const inner = { type: 'object', properties: { x: text } };
  const { spec: made } = spec({ aB: inner, a: { type: 'object', properties: { b: inner } } });
  const types = typesOf({ spec: { ...made, versions: [...made.versions, beta] } });
  expect(types).toContain("export interface FooV1beta1 {\n  apiVersion: 'example.com/v1beta1';");
  expect(types).toContain('aB?: FooSpecAB;');
  expect(types).toContain('b?: FooSpecAB2;');
});
