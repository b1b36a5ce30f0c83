import { parseNano } from '#api';
import { global, method, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import { CelDouble, CelOpaque, failure, intOf } from '../values.ts';

const name = 'kubernetes.Quantity';
const quantity = t.opaque(name);
const nano = 1_000_000_000n;
const parsing = { cost: (size = 0) => Math.ceil(size * 0.1) };
/** Nanos are the value; their decimal text makes equal amounts equal however they were written. */
const made = (nanos: bigint): CelOpaque => new CelOpaque(name, nanos, String(nanos));
const nanosOf = (value: CelOpaque): bigint => value.data as bigint;

function parse(text: string): CelOpaque {
  const nanos = parseNano(text);
  if (nanos === undefined)
    throw failure("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
  return made(nanos);
}
const compare = (a: CelOpaque, b: CelOpaque): number =>
  nanosOf(a) < nanosOf(b) ? -1 : nanosOf(a) > nanosOf(b) ? 1 : 0;
const isInteger = (value: CelOpaque): boolean => nanosOf(value) % nano === 0n;

export const quantities: readonly Overload[] = [
  global('quantity', [t.string], quantity, parse, parsing),
  global('isQuantity', [t.string], t.bool, (text: string) => parseNano(text) !== undefined, parsing),
  method('sign', [quantity], t.int, (a: CelOpaque) => (nanosOf(a) < 0n ? -1 : nanosOf(a) > 0n ? 1 : 0)),
  method('isGreaterThan', [quantity, quantity], t.bool, (a: CelOpaque, b: CelOpaque) => compare(a, b) > 0),
  method('isLessThan', [quantity, quantity], t.bool, (a: CelOpaque, b: CelOpaque) => compare(a, b) < 0),
  method('compareTo', [quantity, quantity], t.int, compare),
  method('asApproximateFloat', [quantity], t.double, (a: CelOpaque) => new CelDouble(Number(nanosOf(a)) / 1e9)),
  method('asInteger', [quantity], t.int, (a: CelOpaque) => {
    if (!isInteger(a)) throw failure('cannot convert value to integer');
    return intOf(nanosOf(a) / nano);
  }),
  method('isInteger', [quantity], t.bool, isInteger),
  method('add', [quantity, quantity], quantity, (a: CelOpaque, b: CelOpaque) => made(nanosOf(a) + nanosOf(b))),
  method('add', [quantity, t.int], quantity, (a: CelOpaque, b: number | bigint) => made(nanosOf(a) + BigInt(b) * nano)),
  method('sub', [quantity, quantity], quantity, (a: CelOpaque, b: CelOpaque) => made(nanosOf(a) - nanosOf(b))),
  method('sub', [quantity, t.int], quantity, (a: CelOpaque, b: number | bigint) => made(nanosOf(a) - BigInt(b) * nano)),
];
