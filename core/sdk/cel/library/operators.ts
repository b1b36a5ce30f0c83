import { global, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import {
  CelDouble,
  CelDuration,
  CelKeyedList,
  CelTimestamp,
  CelUint,
  compareNumbers,
  equal,
  failure,
  intOf,
  lookUp,
  noOverload,
  uintOf,
  type Value,
} from '../values.ts';

type Int = number | bigint;
const A = t.param('A');
const B = t.param('B');
const big = (value: Int): bigint => BigInt(value);

/** Sums stay numbers while they are safe; only beyond that do they go through bigint. */
const intMath =
  (plainOf: (a: number, b: number) => number, exactOf: (a: bigint, b: bigint) => bigint) =>
  (a: Int, b: Int): Int => {
    if (typeof a === 'number' && typeof b === 'number') {
      const result = plainOf(a, b);
      if (Number.isSafeInteger(result)) return result;
    }
    return intOf(exactOf(big(a), big(b)));
  };
const divisible = (b: Int | bigint): void => {
  if (BigInt(b) === 0n) throw failure('division by zero');
};
const modulable = (b: Int | bigint): void => {
  if (BigInt(b) === 0n) throw failure('modulus by zero');
};
const withoutMinusZero = (value: number): number => value + 0;

const sums: Overload[] = [
  global(
    '_+_',
    [t.int, t.int],
    t.int,
    intMath(
      (a, b) => a + b,
      (a, b) => a + b,
    ),
  ),
  global(
    '_-_',
    [t.int, t.int],
    t.int,
    intMath(
      (a, b) => a - b,
      (a, b) => a - b,
    ),
  ),
  global(
    '_*_',
    [t.int, t.int],
    t.int,
    intMath(
      (a, b) => withoutMinusZero(a * b),
      (a, b) => a * b,
    ),
  ),
  global('_/_', [t.int, t.int], t.int, (a: Int, b: Int) => {
    divisible(b);
    return intOf(big(a) / big(b));
  }),
  global('_%_', [t.int, t.int], t.int, (a: Int, b: Int) => {
    modulable(b);
    return intOf(big(a) % big(b));
  }),
  global('-_', [t.int], t.int, (a: Int) => intOf(-big(a))),
  global('_+_', [t.uint, t.uint], t.uint, (a: CelUint, b: CelUint) => uintOf(a.value + b.value)),
  global('_-_', [t.uint, t.uint], t.uint, (a: CelUint, b: CelUint) => uintOf(a.value - b.value)),
  global('_*_', [t.uint, t.uint], t.uint, (a: CelUint, b: CelUint) => uintOf(a.value * b.value)),
  global('_/_', [t.uint, t.uint], t.uint, (a: CelUint, b: CelUint) => {
    divisible(b.value);
    return uintOf(a.value / b.value);
  }),
  global('_%_', [t.uint, t.uint], t.uint, (a: CelUint, b: CelUint) => {
    modulable(b.value);
    return uintOf(a.value % b.value);
  }),
  global('_+_', [t.double, t.double], t.double, (a: CelDouble, b: CelDouble) => new CelDouble(a.value + b.value)),
  global('_-_', [t.double, t.double], t.double, (a: CelDouble, b: CelDouble) => new CelDouble(a.value - b.value)),
  global('_*_', [t.double, t.double], t.double, (a: CelDouble, b: CelDouble) => new CelDouble(a.value * b.value)),
  global('_/_', [t.double, t.double], t.double, (a: CelDouble, b: CelDouble) => new CelDouble(a.value / b.value)),
  global('-_', [t.double], t.double, (a: CelDouble) => new CelDouble(-a.value)),
];

const joined = { cost: (a = 0, b = 0) => Math.ceil((a + b) * 0.1) };
const concatenations: Overload[] = [
  global('_+_', [t.string, t.string], t.string, (a: string, b: string) => a + b, joined),
  global(
    '_+_',
    [t.bytes, t.bytes],
    t.bytes,
    (a: Uint8Array, b: Uint8Array) => new Uint8Array(Buffer.concat([a, b])),
    joined,
  ),
  global('_+_', [t.list(A), t.list(A)], t.list(A), (a: Value[], b: Value[]) =>
    a instanceof CelKeyedList ? a.joined(b) : [...a, ...b],
  ),
];

const times: Overload[] = [
  global('_+_', [t.timestamp, t.duration], t.timestamp, (a: CelTimestamp, b: CelDuration) =>
    timestampOf(a.nanos + b.nanos),
  ),
  global('_+_', [t.duration, t.timestamp], t.timestamp, (a: CelDuration, b: CelTimestamp) =>
    timestampOf(a.nanos + b.nanos),
  ),
  global('_+_', [t.duration, t.duration], t.duration, (a: CelDuration, b: CelDuration) =>
    durationOf(a.nanos + b.nanos),
  ),
  global('_-_', [t.timestamp, t.timestamp], t.duration, (a: CelTimestamp, b: CelTimestamp) =>
    durationOf(a.nanos - b.nanos),
  ),
  global('_-_', [t.timestamp, t.duration], t.timestamp, (a: CelTimestamp, b: CelDuration) =>
    timestampOf(a.nanos - b.nanos),
  ),
  global('_-_', [t.duration, t.duration], t.duration, (a: CelDuration, b: CelDuration) =>
    durationOf(a.nanos - b.nanos),
  ),
];
const nanosMin = -62_135_596_800_000_000_000n; // 0001-01-01T00:00:00Z
const nanosMax = 253_402_300_799_999_999_999n; // 9999-12-31T23:59:59.999999999Z
export function timestampOf(nanos: bigint): CelTimestamp {
  if (nanos < nanosMin || nanos > nanosMax) throw failure('timestamp overflow');
  return new CelTimestamp(nanos);
}
export function durationOf(nanos: bigint): CelDuration {
  if (nanos > 2n ** 63n - 1n || nanos < -(2n ** 63n)) throw failure('duration overflow');
  return new CelDuration(nanos);
}

function order(a: Value, b: Value): number {
  const numeric = compareNumbers(a, b);
  if (numeric !== undefined) return numeric;
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (a instanceof CelTimestamp && b instanceof CelTimestamp) return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
  if (a instanceof CelDuration && b instanceof CelDuration) return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
  throw noOverload();
}
/** By code points, as bytes of UTF-8 would compare; JavaScript compares UTF-16 units. */
const compareText = (a: string, b: string): number => {
  if (a === b) return 0;
  // Surrogates only matter where one is met.
  return /[\ud800-\udfff]/.test(a + b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : 1;
};

export { order as compareValues };

const ordered: readonly t.Type[] = [t.bool, t.int, t.uint, t.double, t.string, t.bytes, t.timestamp, t.duration];
const numeric: readonly t.Type[] = [t.int, t.uint, t.double];
const comparedPairs: readonly (readonly [t.Type, t.Type])[] = [
  ...ordered.map((type) => [type, type] as const),
  ...numeric.flatMap((a) => numeric.filter((b) => b !== a).map((b) => [a, b] as const)),
];
const traversal = { cost: (a = 0, b = 0) => Math.ceil(Math.min(a, b) * 0.1) };
const compare = (name: string, holds: (order: number) => boolean): Overload[] =>
  comparedPairs.map(([a, b]) =>
    global(
      name,
      [a, b],
      t.bool,
      (x: Value, y: Value) => holds(order(x, y)),
      a === t.string || a === t.bytes ? traversal : undefined,
    ),
  );

export const operators: readonly Overload[] = [
  ...sums,
  ...concatenations,
  ...times,
  ...compare('_<_', (o) => o < 0),
  ...compare('_<=_', (o) => o <= 0),
  ...compare('_>_', (o) => o > 0),
  ...compare('_>=_', (o) => o >= 0),
  global('_==_', [A, A], t.bool, (a: Value, b: Value) => equal(a, b), traversal),
  global('_!=_', [A, A], t.bool, (a: Value, b: Value) => !equal(a, b), traversal),
  // Numbers of unlike types compare too.
  ...numeric.flatMap((a) =>
    numeric
      .filter((b) => b !== a)
      .flatMap((b) => [
        global('_==_', [a, b], t.bool, (x: Value, y: Value) => equal(x, y)),
        global('_!=_', [a, b], t.bool, (x: Value, y: Value) => !equal(x, y)),
      ]),
  ),
  global('!_', [t.bool], t.bool, (a: boolean) => !a),
  global('@in', [A, t.list(A)], t.bool, (a: Value, b: Value[]) => b.some((one) => equal(one, a)), {
    cost: (_a, b = 0) => b,
  }),
  global('@in', [A, t.map(A, B)], t.bool, (a: Value, b: never) => lookUp(b, a) !== undefined),
  global('_[_]', [t.list(A), t.int], A, (a: Value[], b: Int) => elementOf(a, b)),
  global('_[_]', [t.map(A, B), A], B, (a: never, b: Value) => {
    const found = lookUp(a, b);
    if (found === undefined) throw failure(`no such key: ${String(b)}`);
    return found;
  }),
];

export function elementOf(list: readonly Value[], index: Value): Value {
  const at = index instanceof CelUint ? Number(index.value) : index instanceof CelDouble ? index.value : Number(index);
  const found = list[at];
  if (found === undefined) throw failure(`index out of bounds: ${at}`);
  return found;
}
