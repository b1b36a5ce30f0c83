/**
 * CEL values in JavaScript: null, boolean, string, Uint8Array, arrays and plain objects or Maps as they are.
 * An int is a number while it is a safe integer, else a bigint; doubles and uints are boxed, because JSON cannot tell them from ints.
 */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | CelDouble
  | CelUint
  | CelDuration
  | CelTimestamp
  | CelType
  | CelOptional
  | CelOpaque
  | readonly Value[]
  | ReadonlyMap<Value, Value>
  | { readonly [key: string]: Value };

export class CelDouble {
  constructor(readonly value: number) {}
}
export class CelUint {
  constructor(readonly value: bigint) {}
}
/** Nanoseconds. */
export class CelDuration {
  constructor(readonly nanos: bigint) {}
}
/** Nanoseconds since the epoch. */
export class CelTimestamp {
  constructor(readonly nanos: bigint) {}
}
export class CelType {
  constructor(readonly name: string) {}
}
export class CelOptional {
  static readonly none = new CelOptional(undefined);
  constructor(readonly value: Value | undefined) {}
}
/** A value of a library (a quantity, an address): `type` names it, `equals` compares. */
export class CelOpaque {
  constructor(
    readonly type: string,
    readonly data: unknown,
    readonly text: string,
  ) {}
}

/**
 * A list whose order means nothing: a set of scalars, or elements that some of their fields name. The left one of two lists decides
 * how they are compared and joined.
 */
export class CelKeyedList extends Array<Value> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array; // what is made of its elements is an ordinary list
  }
  /** The fields that name an element; undefined: a set. */
  names?: readonly string[];
  static made(elements: Iterable<Value>, names?: readonly string[]): CelKeyedList {
    const list = new CelKeyedList();
    for (const element of elements) list.push(element);
    list.names = names;
    return list;
  }

  /** Throws CelFailure for an element that can be in no set. */
  keyOf(element: Value): string {
    if (this.names)
      return JSON.stringify(this.names.map((name) => (isMap(element) ? scalarKey(lookUp(element, name) ?? null) : '')));
    if (Array.isArray(element) || isMap(element))
      throw failure('listSet operations are only supported on lists of scalar values');
    return scalarKey(element);
  }
  equals(other: readonly Value[]): boolean {
    if (other.length !== this.length) return false;
    const mine = new Map([...this].map((element) => [this.keyOf(element), element]));
    const seen = new Set<string>();
    for (const element of other) {
      const key = this.keyOf(element);
      if (!mine.has(key) || (this.names && !equal(mine.get(key)!, element))) return false;
      seen.add(key);
    }
    return seen.size === mine.size;
  }
  /** Places stay; named elements of the other replace ours, the rest is added behind. */
  joined(other: readonly Value[]): CelKeyedList {
    const made = new Map([...this].map((element) => [this.keyOf(element), element]));
    for (const element of other) {
      const key = this.keyOf(element);
      if (this.names || !made.has(key)) made.set(key, element);
    }
    return CelKeyedList.made(made.values(), this.names);
  }
}
function scalarKey(value: Value): string {
  const plain =
    value instanceof CelDouble || value instanceof CelUint
      ? value.value
      : value instanceof CelDuration || value instanceof CelTimestamp
        ? value.nanos
        : value instanceof Uint8Array
          ? Buffer.from(value).toString('hex')
          : value;
  return `${typeNameOf(value)}:${String(plain as string)}`;
}

/** What an evaluation ends with when it has no value. */
export class CelFailure extends Error {
  override readonly name = 'CelFailure';
}
export const failure = (message: string): CelFailure => new CelFailure(message);
export const noOverload = (): CelFailure => failure('no such overload');

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;
/** Brings an int back to its plainest form. Throws outside of 64 bits. */
export function intOf(value: bigint): number | bigint {
  if (value > int64Max || value < int64Min) throw failure('integer overflow');
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
}
export function uintOf(value: bigint): CelUint {
  if (value < 0n || value > 2n ** 64n - 1n) throw failure('unsigned integer overflow');
  return new CelUint(value);
}
export const isInt = (value: Value): value is number | bigint => typeof value === 'number' || typeof value === 'bigint';
export const isMap = (value: Value): value is ReadonlyMap<Value, Value> | { readonly [key: string]: Value } =>
  typeof value === 'object' && value !== null && (value instanceof Map || isRecord(value));
export const isRecord = (value: Value): value is { readonly [key: string]: Value } => {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value) as unknown;
  return prototype === Object.prototype || prototype === null;
};

export function typeNameOf(value: Value): string {
  if (value === null) return 'null_type';
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'string':
      return 'string';
    case 'number':
    case 'bigint':
      return 'int';
  }
  if (Array.isArray(value)) return 'list';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof CelDouble) return 'double';
  if (value instanceof CelUint) return 'uint';
  if (value instanceof CelDuration) return 'google.protobuf.Duration';
  if (value instanceof CelTimestamp) return 'google.protobuf.Timestamp';
  if (value instanceof CelType) return 'type';
  if (value instanceof CelOptional) return 'optional_type';
  if (value instanceof CelOpaque) return value.type;
  return 'map';
}

/** Numbers of all three kinds compare by value; NaN is unlike everything. */
export function compareNumbers(a: Value, b: Value): number | undefined {
  const [x, y] = [plainNumber(a), plainNumber(b)];
  if (x === undefined || y === undefined) return undefined;
  return x < y
    ? -1
    : x > y
      ? 1
      : !(x < y || x > y) && !Number.isNaN(Number(x)) && !Number.isNaN(Number(y))
        ? 0
        : Number.NaN; // a bigint and a number compare exactly
}
const plainNumber = (value: Value): number | bigint | undefined =>
  typeof value === 'number' || typeof value === 'bigint'
    ? value
    : value instanceof CelDouble || value instanceof CelUint
      ? value.value
      : undefined;

export function equal(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (a === null || b === null || typeof a === 'boolean' || typeof a === 'string') return false;
  if (isInt(a) || a instanceof CelDouble || a instanceof CelUint) return compareNumbers(a, b) === 0;
  if (a instanceof CelKeyedList) return Array.isArray(b) && a.equals(b as readonly Value[]);
  if (Array.isArray(a))
    return Array.isArray(b) && a.length === b.length && a.every((one, i) => equal(one, b[i] as Value));
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  if (a instanceof CelDuration) return b instanceof CelDuration && a.nanos === b.nanos;
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp && a.nanos === b.nanos;
  if (a instanceof CelType) return b instanceof CelType && a.name === b.name;
  if (a instanceof CelOpaque) return b instanceof CelOpaque && a.type === b.type && a.text === b.text;
  if (a instanceof CelOptional)
    return (
      b instanceof CelOptional &&
      (a.value === undefined || b.value === undefined ? a.value === b.value : equal(a.value, b.value))
    );
  if (!isMap(a) || !isMap(b) || sizeOf(a) !== sizeOf(b)) return false;
  for (const [key, value] of entriesOf(a)) {
    const other = lookUp(b, key);
    if (other === undefined || !equal(value, other)) return false;
  }
  return true;
}

export const entriesOf = (
  map: ReadonlyMap<Value, Value> | { readonly [key: string]: Value },
): Iterable<[Value, Value]> =>
  map instanceof Map ? map.entries() : Object.entries(map as { readonly [key: string]: Value });
export const keysOf = (map: ReadonlyMap<Value, Value> | { readonly [key: string]: Value }): Value[] =>
  map instanceof Map ? [...(map.keys() as Iterable<Value>)] : Object.keys(map);
/** Undefined when there is no such key. */
export function lookUp(
  map: ReadonlyMap<Value, Value> | { readonly [key: string]: Value },
  key: Value,
): Value | undefined {
  if (!(map instanceof Map))
    return typeof key === 'string' && Object.hasOwn(map, key)
      ? (map as { readonly [key: string]: Value })[key]
      : undefined;
  const typed = map as ReadonlyMap<Value, Value>;
  const direct = typed.get(key);
  if (direct !== undefined || typeof key === 'string' || typeof key === 'boolean') return direct;
  for (const [other, value] of typed) if (equal(other, key)) return value;
  return undefined;
}
export function sizeOf(value: Value): number {
  if (typeof value === 'string') return [...value].length;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length;
  if (value instanceof Map) return value.size;
  if (isRecord(value)) return Object.keys(value).length;
  throw noOverload();
}
