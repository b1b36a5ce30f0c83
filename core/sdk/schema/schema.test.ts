import { describe, expect, test } from 'bun:test';
import { celEnvironment } from '../cel/index.ts';
import { compileSchema, followPath, prune, uncorrelated, validateValue } from './index.ts';
import { escapedName, ruleType, ruleValue } from './rule-types.ts';

const text = { type: 'string' };
const messages = (schema: Record<string, unknown>, value: unknown, former: unknown = uncorrelated) =>
  validateValue(compileSchema(schema), value, 'a', former).map(({ field, message }) => `${field}: ${message}`);

describe('values', () => {
  test.each([
    [{ type: 'integer' }, 1.5, ['a: Invalid value: "number": a in body must be of type integer: "number"']],
    [{ type: 'number' }, 1, []],
    [text, null, ['a: Invalid value: "null": a in body must be of type string: "null"']],
    [{ ...text, nullable: true }, null, []],
    [
      { type: 'integer', maximum: 3, exclusiveMaximum: true },
      3,
      ['a: Invalid value: 3: a in body should be less than 3'],
    ],
    [{ type: 'integer', multipleOf: 5 }, 7, ['a: Invalid value: 7: a in body should be a multiple of 5']],
    [{ type: 'array', items: text, maxItems: 1 }, ['x', 'y'], ['a: Too many: 2: must have at most 1 item']],
    [{ type: 'object', minProperties: 1 }, {}, ['a: Invalid value: 0: a in body should have at least 1 properties']],
    [
      { ...text, format: 'ipv4' },
      '300.1.1.1',
      ['a: Invalid value: "300.1.1.1": a in body must be of type ipv4: "300.1.1.1"'],
    ],
    [{ ...text, format: 'unknown' }, 'x', []],
    [{ ...text, not: { enum: ['x'] } }, 'x', ['<nil>: Invalid value: "": "a" must not validate the schema (not)']],
    [
      { type: 'integer', oneOf: [{ minimum: 1 }, { minimum: 2 }] },
      3,
      ['<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
    ],
  ] as [Record<string, unknown>, unknown, string[]][])('%j %j', (schema, value, expected) =>
    expect(messages(schema, value)).toEqual(expected),
  );
  test('what did not change is not held against anybody', () => {
    const schema = { type: 'object', properties: { x: { type: 'integer', maximum: 3 }, y: text } };
    expect(messages(schema, { x: 5, y: 'new' }, { x: 5, y: 'old' })).toEqual([]);
    expect(messages(schema, { x: 6 }, { x: 5 })).toHaveLength(1);
  });
});

test('pruning keeps what a resource has, what is declared and what is asked to be kept', () => {
  const free = {
    type: 'object',
    'x-kubernetes-preserve-unknown-fields': true,
    properties: { known: { type: 'object', properties: {} } },
  };
  const schema = compileSchema({
    type: 'object',
    properties: { free, map: { type: 'object', additionalProperties: { type: 'object', properties: { a: text } } } },
  });
  const object = {
    apiVersion: 'v1',
    kind: 'K',
    metadata: { name: 'x' },
    z: 1,
    free: { any: 1, known: { gone: 1 } },
    map: { k: { a: 'x', b: 1 } },
  };
  expect(prune(schema, object)).toEqual(['z', 'free.known.gone', 'map.k.b']);
  expect(object).toMatchObject({ metadata: { name: 'x' }, free: { any: 1, known: {} }, map: { k: { a: 'x' } } });
});

test('names as rules write them, and paths through a schema', () => {
  expect(['namespace', 'a-b', 'a.b', 'a__b', '1a', 'a/b'].map(escapedName)).toEqual([
    '__namespace__',
    'a__dash__b',
    'a__dot__b',
    'a__underscores__b',
    undefined,
    'a__slash__b',
  ]);
  const schema = compileSchema({ type: 'object', properties: { a: { type: 'object', additionalProperties: text } } });
  expect(followPath(".a['x.y']", schema)).toMatchObject({ path: 'a[x.y]' });
  expect(followPath('.b', schema)).toEqual({ error: 'does not refer to a valid field' });
  expect(followPath('.a[0]', schema)).toEqual({ error: 'expected single quoted string but got 0' });
});

describe('lists that are sets or maps, in rules', () => {
  const strings = { type: 'array', items: text };
  const item = { type: 'object', required: ['k'], properties: { k: text, v: { type: 'integer' } } };
  const map = { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'], items: item };
  const set = { ...strings, 'x-kubernetes-list-type': 'set' };
  const node = compileSchema({ type: 'object', properties: { set, other: set, plain: strings, map } });
  const { type } = ruleType(node, false)!;
  const environment = celEnvironment({ self: type, oldSelf: type });
  const at = (k: string, v: number) => ({ k, v });
  const object = { set: ['a', 'b'], other: ['b', 'a'], plain: ['b', 'a'], map: [at('x', 1), at('y', 2)] };
  const old = { map: [at('y', 2), at('x', 1)] };
  test.each([
    ['self.set == self.other', true],
    ['self.set == self.plain', true],
    ['self.plain == self.set', false],
    ['(self.set + self.other).size() == 2', true],
    ["self.set + ['c'] == ['c', 'b', 'a']", true],
    ["['b', 'a'] == self.set", false],
    ["self.set.map(x, x) == ['b', 'a']", false],
    ['self.map == oldSelf.map', true],
    ['(self.map + oldSelf.map).size() == 2 && (self.map + oldSelf.map)[0].k == "x"', true],
  ])('%s is %p', (rule, expected) =>
    expect(
      environment.compile(rule).evaluate({ self: ruleValue(node, object), oldSelf: ruleValue(node, old) }).value,
    ).toBe(expected),
  );
  test('two places of a schema are two types', () => {
    const two = compileSchema({ type: 'object', properties: { a: item, b: { ...item } } });
    const self = ruleType(two, false)!.type;
    expect(() => celEnvironment({ self }).compile('self.a == self.b')).toThrow("found no matching overload for '_==_'");
  });
});
