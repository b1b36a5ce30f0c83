import { global, method, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import {
  CelDouble,
  CelDuration,
  CelOptional,
  CelUint,
  entriesOf,
  equal,
  failure,
  isInt,
  isMap,
  keysOf,
  lookUp,
  sizeOf,
  type Value,
} from '../values.ts';
import { compareValues, durationOf, operators } from './operators.ts';

type Int = number | bigint;
type List = readonly Value[];
const A = t.param('A');
const B = t.param('B');
/** A look at everything inside: text by its length, the rest 1 each. */
function traversalOf(value: Value): number {
  if (typeof value === 'string') return Math.floor(Buffer.byteLength(value) * 0.1);
  if (value instanceof Uint8Array) return Math.floor(value.length * 0.1);
  if (Array.isArray(value)) return (value as List).reduce<number>((sum, one) => sum + traversalOf(one), 0);
  if (!isMap(value)) return 1;
  let sum = 0;
  for (const [key, one] of entriesOf(value)) sum += traversalOf(key) + traversalOf(one);
  return sum;
}
const once = { weigh: (list: Value = null) => traversalOf(list) };
/** 1 for the call and 10 for the list that is made. */
const listCost = 11;
const copied = { cost: (size = 0) => size + listCost };
const sliced = { weigh: (_list: Value, from: Value, to: Value) => Math.max(0, Number(to) - Number(from)) + listCost };
/** Every element may meet every other. */
const squared = (values: Value): number => {
  const list = values as List;
  const isText = typeof list[0] === 'string' || list[0] instanceof Uint8Array;
  return Math.floor(list.length ** 2 * (isText ? 2.1 : 2)) + listCost;
};
const compared = { weigh: (list: Value = []) => squared(list) };
const keyed = { weigh: (_list: Value, keys: Value) => squared(keys) };
const product = (factor: number) => ({ cost: (a = 0, b = 0) => a * b * factor + 1 });
const comparable: readonly t.Type[] = [t.int, t.uint, t.double, t.bool, t.duration, t.timestamp, t.string, t.bytes];
const addable: readonly t.Type[] = [t.int, t.uint, t.double, t.duration];

const isSorted = (list: List): boolean =>
  list.every((one, i) => i === 0 || compareValues(list[i - 1] as Value, one) <= 0);
const extreme =
  (name: string, sign: number) =>
  (list: List): Value => {
    if (list.length === 0) throw failure(`${name} called on empty list`);
    return list.reduce((best, one) => (compareValues(one, best) * sign > 0 ? one : best));
  };
const plus = operators.filter(({ name }) => name === '_+_');
const zeros = new Map<t.Type, Value>([
  [t.int, 0],
  [t.uint, new CelUint(0n)],
  [t.double, new CelDouble(0)],
  [t.duration, new CelDuration(0n)],
]);
function sum(type: t.Type): (list: List) => Value {
  const add = type === t.duration ? undefined : plus.find(({ args }) => args[0] === type)!;
  return (list) =>
    list.reduce(
      (total, one) => add?.call(total, one) ?? durationOf((total as CelDuration).nanos + (one as CelDuration).nanos),
      zeros.get(type)!,
    );
}
const has = (list: List, wanted: Value): boolean => list.some((one) => equal(one, wanted));
const distinct = (list: List): Value[] => list.filter((one, i) => list.findIndex((other) => equal(other, one)) === i);
function slice(list: List, from: Int, to: Int): List {
  const [start, end] = [Number(from), Number(to)];
  if (start < 0 || end < 0) throw failure(`cannot slice(${start}, ${end}), negative indexes not supported`);
  if (start > end) throw failure(`cannot slice(${start}, ${end}), start index must be less than or equal to end index`);
  if (end > list.length) throw failure(`cannot slice(${start}, ${end}), list is length ${list.length}`);
  return list.slice(start, end);
}
const sortedBy = (list: List, keys: List): List => {
  if (list.length !== keys.length)
    throw failure(
      `@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got ${list.length} and ${keys.length} elements respectively`,
    );
  const order = list.map((_one, i) => i).sort((a, b) => compareValues(keys[a] as Value, keys[b] as Value));
  return order.map((i) => list[i] as Value);
};
const flatten = (list: List, depth: Int = 1): Value[] => {
  if (Number(depth) < 0) throw failure('level must be non-negative');
  return list.flat(Number(depth) as 1) as Value[];
};
function range(count: Int): number[] {
  const size = Number(count);
  if (size > 1_000_000) throw failure('range limit exceeded');
  return Array.from({ length: Math.max(0, size) }, (_unused, i) => i);
}

export const lists: readonly Overload[] = [
  ...comparable.flatMap((type) => [
    method('isSorted', [t.list(type)], t.bool, isSorted, once),
    method('min', [t.list(type)], type, extreme('min', -1), once),
    method('max', [t.list(type)], type, extreme('max', 1), once),
    method('@sortByAssociatedKeys', [t.list(A), t.list(type)], t.list(A), sortedBy, keyed),
    method('sort', [t.list(type)], t.list(type), (list: List) => [...list].sort(compareValues), compared),
  ]),
  ...addable.map((type) => method('sum', [t.list(type)], type, sum(type), once)),
  method(
    'indexOf',
    [t.list(A), A],
    t.int,
    (list: List, one: Value) => list.findIndex((each) => equal(each, one)),
    once,
  ),
  method(
    'lastIndexOf',
    [t.list(A), A],
    t.int,
    (list: List, one: Value) => list.findLastIndex((each) => equal(each, one)),
    once,
  ),
  method('slice', [t.list(A), t.int, t.int], t.list(A), slice, sliced),
  method('flatten', [t.list(t.list(A))], t.list(A), (list: List) => flatten(list), copied),
  method('flatten', [t.list(t.dyn), t.int], t.list(t.dyn), flatten, {
    weigh: (list: Value, depth: Value) => (list as List).length * Number(depth) + listCost,
  }),
  method('distinct', [t.list(A)], t.list(A), distinct, compared),
  method('reverse', [t.list(A)], t.list(A), (list: List) => [...list].reverse(), copied),
  method('first', [t.list(A)], t.optional(A), (list: List) => new CelOptional(list[0])),
  method('last', [t.list(A)], t.optional(A), (list: List) => new CelOptional(list.at(-1))),
  global('lists.range', [t.int], t.list(t.int), range, {
    weigh: (count: Value) => Math.max(0, Number(count)) + listCost,
  }),
  global(
    'sets.contains',
    [t.list(A), t.list(A)],
    t.bool,
    (a: List, b: List) => b.every((one) => has(a, one)),
    product(1),
  ),
  global(
    'sets.equivalent',
    [t.list(A), t.list(A)],
    t.bool,
    (a: List, b: List) => a.every((one) => has(b, one)) && b.every((one) => has(a, one)),
    product(2),
  ),
  global(
    'sets.intersects',
    [t.list(A), t.list(A)],
    t.bool,
    (a: List, b: List) => a.some((one) => has(b, one)),
    product(1),
  ),
];

const isZero = (value: Value): boolean =>
  value === null ||
  value === false ||
  (isInt(value) && BigInt(value) === 0n) ||
  (value instanceof CelDouble && value.value === 0) ||
  (value instanceof CelUint && value.value === 0n) ||
  (value instanceof CelDuration && value.nanos === 0n) ||
  value === '' ||
  ((Array.isArray(value) || value instanceof Uint8Array || value instanceof Map) && sizeOf(value) === 0) ||
  (isMap(value) && keysOf(value).length === 0);

/** What select and index give where the thing may be absent. */
export function optionalAt(of: Value, key: Value): CelOptional {
  const holder = of instanceof CelOptional ? of.value : of;
  if (holder === undefined) return CelOptional.none;
  if (Array.isArray(holder)) return new CelOptional((holder as List)[Number(key)]);
  return new CelOptional(lookUp(holder as never, key));
}

const free = { cost: () => 0 };
export const optionals: readonly Overload[] = [
  global('optional.of', [A], t.optional(A), (a: Value) => new CelOptional(a)),
  global('optional.none', [], t.optional(A), () => CelOptional.none),
  global('optional.ofNonZeroValue', [A], t.optional(A), (a: Value) =>
    isZero(a) ? CelOptional.none : new CelOptional(a),
  ),
  method('hasValue', [t.optional(A)], t.bool, (a: CelOptional) => a.value !== undefined),
  method('value', [t.optional(A)], A, (a: CelOptional) => {
    if (a.value === undefined) throw failure('optional.none() dereference');
    return a.value;
  }),
  method('orValue', [t.optional(A), A], A, (a: CelOptional, b: Value) => a.value ?? b, free),
  method(
    'or',
    [t.optional(A), t.optional(A)],
    t.optional(A),
    (a: CelOptional, b: CelOptional) => (a.value === undefined ? b : a),
    free,
  ),
  global('optional.unwrap', [t.list(t.optional(A))], t.list(A), unwrap),
  method('unwrapOpt', [t.list(t.optional(A))], t.list(A), unwrap),
  global('_[?_]', [t.list(A), t.int], t.optional(A), optionalAt),
  global('_[?_]', [t.optional(t.list(A)), t.int], t.optional(A), optionalAt),
  global('_[?_]', [t.map(A, B), A], t.optional(B), optionalAt),
  global('_[?_]', [t.optional(t.map(A, B)), A], t.optional(B), optionalAt),
  global('_[_]', [t.optional(t.list(A)), t.int], t.optional(A), optionalAt),
  global('_[_]', [t.optional(t.map(A, B)), A], t.optional(B), optionalAt),
];
function unwrap(list: readonly CelOptional[]): Value[] {
  return list.flatMap(({ value }) => (value === undefined ? [] : [value]));
}
