import type { FieldError } from '#api';
import type { Shape, Struct } from './compile.ts';
import { decodeBase64, decodeMicroTime, decodeQuantity, decodeTime, type Scalar } from './scalars.ts';

type JsonObject = Record<string, unknown>;
/** Deeper than any real object; the server refuses bodies beyond 100 before they come here. */
const depthMax = 256;
/** Unknown fields beyond this many are removed without a message each. */
const unknownMax = 100;

/** `path` is made only when something is wrong: nodes link to their parents, so that a good object costs no text. */
interface Place {
  readonly parent: Place | undefined;
  readonly step: string | number;
  readonly isKey: boolean;
}
export const pathText = (place: Place | undefined): string => {
  if (!place) return '';
  const before = pathText(place.parent);
  if (typeof place.step === 'number' || place.isKey) return `${before}[${place.step}]`;
  return before ? `${before}.${place.step}` : place.step;
};
/** As strict decoding says it: keys of maps as if they were fields. */
const strictPath = (place: Place | undefined): string => {
  if (!place) return '';
  const before = strictPath(place.parent);
  if (typeof place.step === 'number') return `${before}[${place.step}]`;
  return before ? `${before}.${place.step}` : place.step;
};
/** As Go's decoder says it: names only, without indexes and keys. */
const goPath = (place: Place | undefined): string => {
  if (!place) return '';
  const before = goPath(place.parent);
  if (typeof place.step === 'number' || place.isKey) return before;
  return before ? `${before}.${place.step}` : place.step;
};

class Problem extends Error {
  constructor(
    readonly place: Place | undefined,
    readonly text: string,
  ) {
    super(text);
  }
}

const nameOf = (value: unknown): string =>
  Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value === 'boolean' ? 'bool' : typeof value;

/** Types, unknown fields, nulls, canonical scalars, in place and in one pass. Stops at the first field that has a wrong type, as upstream does. */
export function decodeStruct(struct: Struct, object: JsonObject): { unknown: string[]; errors: FieldError[] } {
  const walk = new Walk();
  try {
    walk.struct(struct, object, undefined, 0);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    const error: FieldError = {
      type: 'FieldValueTypeInvalid',
      field: pathText(problem.place),
      message: problem.text,
    };
    return { unknown: walk.unknown, errors: [error] };
  }
  return { unknown: walk.unknown, errors: [] };
}

class Walk {
  readonly unknown: string[] = [];

  struct(struct: Struct, object: JsonObject, place: Place | undefined, depth: number): void {
    if (struct.open) return;
    if (depth > depthMax) throw new Problem(place, 'exceeded max depth');
    for (const key in object) {
      const value = object[key];
      const shape = struct.fields.get(key);
      if (shape === undefined) {
        if (this.unknown.length < unknownMax) this.unknown.push(strictPath({ parent: place, step: key, isKey: false }));
        delete object[key];
      } else if (value === null) {
        delete object[key];
      } else {
        const next = this.value(shape, value, struct, { parent: place, step: key, isKey: false }, depth);
        if (next === undefined) delete object[key];
        else if (next !== value) object[key] = next;
      }
    }
  }

  /** The stored form; undefined drops the field. */
  private value(shape: Shape, value: unknown, owner: Struct, place: Place, depth: number): unknown {
    switch (shape.type) {
      case 'string':
        return this.text(shape, value, owner, place);
      case 'integer':
        return this.integer(shape, value, owner, place);
      case 'boolean':
        if (typeof value !== 'boolean') throw this.mismatch(shape, value, owner, place);
        return value || !shape.omitZero ? value : undefined;
      case 'number':
        if (typeof value !== 'number') throw this.mismatch(shape, value, owner, place);
        return value;
      case 'quantity':
        if (typeof value !== 'string' && typeof value !== 'number') throw new Problem(place, quantityOnly);
        return this.scalar(decodeQuantity(value), place);
      case 'int-or-string':
        if (typeof value === 'string') return value;
        if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= 2147483647) return value;
        throw this.mismatch(shape, value, owner, place);
      case 'struct':
        if (!isObject(value)) throw this.mismatch(shape, value, owner, place);
        this.struct(shape.struct!, value, place, depth + 1);
        return value;
      case 'array':
        return this.array(shape, value, owner, place, depth);
      case 'map':
        return this.map(shape, value, owner, place, depth);
      default:
        return value;
    }
  }

  private text(shape: Shape, value: unknown, owner: Struct, place: Place): string | undefined {
    if (typeof value !== 'string') throw this.mismatch(shape, value, owner, place);
    if (value === '' && shape.omitZero) return undefined;
    if (shape.format === undefined) return value;
    switch (shape.format) {
      case 'date-time':
        return this.scalar(decodeTime(value), place);
      case 'micro-time':
        return this.scalar(decodeMicroTime(value), place);
      case 'byte':
        return this.scalar(decodeBase64(value), place);
      default:
        return value;
    }
  }

  private integer(shape: Shape, value: unknown, owner: Struct, place: Place): number | undefined {
    if (typeof value !== 'number') throw this.mismatch(shape, value, owner, place);
    if (value === 0 && shape.omitZero) return undefined;
    const max = shape.format === 'int32' ? 2147483647 : Number.MAX_SAFE_INTEGER;
    if (!Number.isInteger(value) || value > max || value < -max - 1)
      throw this.mismatch(shape, value, owner, place, value);
    return value;
  }

  private array(shape: Shape, value: unknown, owner: Struct, place: Place, depth: number): unknown[] | undefined {
    if (!Array.isArray(value)) throw this.mismatch(shape, value, owner, place);
    const list: unknown[] = value;
    const items = shape.items!;
    for (let index = 0; index < list.length; index++) {
      // Go decodes null in a list as the element's zero value.
      const element = list[index] ?? zeroOf(items);
      const next =
        element === null
          ? null
          : this.value(items, element, owner, { parent: place, step: index, isKey: false }, depth + 1);
      if (next !== list[index]) list[index] = next;
    }
    return list.length === 0 && shape.omitZero ? undefined : list;
  }

  private map(shape: Shape, value: unknown, owner: Struct, place: Place, depth: number): JsonObject | undefined {
    if (!isObject(value)) throw this.mismatch(shape, value, owner, place);
    const items = shape.items!;
    let empty = true;
    for (const key in value) {
      empty = false;
      const element = value[key] ?? zeroOf(items);
      const next =
        element === null
          ? null
          : this.value(items, element, owner, { parent: place, step: key, isKey: true }, depth + 1);
      if (next !== value[key]) value[key] = next;
    }
    return empty && shape.omitZero ? undefined : value;
  }

  private scalar(result: Scalar, place: Place): string {
    if ('error' in result) throw new Problem(place, result.error);
    return result.value;
  }

  private mismatch(shape: Shape, value: unknown, owner: Struct, place: Place, shown?: number): Problem {
    const what = `${nameOf(value)}${shown === undefined ? '' : ` ${shown}`}`;
    const inside = typeof place.step === 'number' || place.isKey;
    const goType = inside ? shape.goType : shape.goType;
    return new Problem(
      place,
      `json: cannot unmarshal ${what} into Go struct field ${owner.name}.${goPath(place)} of type ${goType}`,
    );
  }
}

const quantityOnly = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function zeroOf(shape: Shape): unknown {
  switch (shape.type) {
    case 'struct':
    case 'map':
      return {};
    case 'array':
      return [];
    case 'integer':
    case 'number':
    case 'int-or-string':
      return 0;
    case 'boolean':
      return false;
    case 'any':
      return null;
    default:
      // The zero time is written as null.
      if (shape.format === 'date-time' || shape.format === 'micro-time') return null;
      return shape.type === 'quantity' ? '0' : '';
  }
}
