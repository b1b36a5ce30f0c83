import { plain, type Type } from './types.ts';
import {
  CelDouble,
  CelDuration,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelType,
  CelUint,
  isInt,
  isMap,
  type Value,
} from './values.ts';

/** One way in which a function may be called. */
export interface Overload {
  /** `size`, or an operator such as `_+_`. */
  readonly name: string;
  /** The first argument stands before the dot. */
  readonly method: boolean;
  readonly args: readonly Type[];
  readonly result: Type;
  call(...args: Value[]): Value;
  /** What a call costs, from the sizes of the arguments (characters, elements); default 1. Charged before the call. */
  cost?(...sizes: number[]): number;
  /** The same, where the sizes do not say enough. */
  weigh?(...values: Value[]): number;
}
type Options = Pick<Overload, 'cost' | 'weigh'>;
export const global = (
  name: string,
  args: readonly Type[],
  result: Type,
  call: (...args: never[]) => Value,
  options?: Options,
): Overload => ({
  name,
  method: false,
  args,
  result,
  call: call as Overload['call'],
  ...options,
});
export const method = (
  name: string,
  args: readonly Type[],
  result: Type,
  call: (...args: never[]) => Value,
  options?: Options,
): Overload => ({
  ...global(name, args, result, call, options),
  method: true,
});

/** Whether a value, at run time, is of a type; lists and maps are not looked into. */
export function isOfType(value: Value, given: Type): boolean {
  const type = plain(given);
  switch (type.k) {
    case 'dyn':
    case 'param':
      return true;
    case 'null_type':
      return value === null;
    case 'bool':
      return typeof value === 'boolean';
    case 'int':
      return isInt(value);
    case 'uint':
      return value instanceof CelUint;
    case 'double':
      return value instanceof CelDouble;
    case 'string':
      return typeof value === 'string';
    case 'bytes':
      return value instanceof Uint8Array;
    case 'duration':
      return value instanceof CelDuration;
    case 'timestamp':
      return value instanceof CelTimestamp;
    case 'list':
      return Array.isArray(value);
    case 'map':
    case 'object':
      return isMap(value);
    case 'type':
      return value instanceof CelType;
    case 'optional':
      return value instanceof CelOptional;
    case 'opaque':
      return value instanceof CelOpaque && value.type === type.name;
  }
}
/** For the cost: characters, bytes or elements; 1 for everything else. */
export function costSize(value: Value): number {
  if (typeof value === 'string' || Array.isArray(value) || value instanceof Uint8Array) return value.length;
  if (value instanceof Map) return value.size;
  return isMap(value) ? Object.keys(value).length : 1;
}
