import type { Field } from '#api';
import type { JsonObject } from '../contract.ts';
import { shareText } from '../stored-text.ts';
import { serverOwned } from './managed.ts';
import { isObject } from './merge.ts';
import { isImplicit, isPiece, keepsNulls, type NamedPart, namedPart, partsOf, rootShape, type Shape } from './typed.ts';

/**
 * The fieldsV1 of whoever creates this object: what comparing it with nothing would give, made in one pass and without sets,
 * because every creation needs it. Undefined when nothing of it can be owned.
 */
export function createdFields(typeId: string | Field, object: JsonObject): JsonObject | undefined {
  const shape = rootShape(typeId);
  if (shape.kind !== 'struct' && shape.kind !== 'map') return undefined;
  const result: JsonObject = {};
  for (const name of sortedNames(object)) {
    const value = object[name];
    if (serverOwned.root.has(name) || name === 'status') continue;
    const part = namedPart(shape, name);
    if (name === 'metadata') {
      const fields = isObject(value) ? metadataFields(part.shape, value, isImplicit(part.field, true)) : undefined;
      if (fields) result[part.key] = fields;
      continue;
    }
    if (!isSet(shape, value)) continue;
    const fields = name === 'spec' && part.field ? ofSpec(part.field, part.shape, value) : below(part, value);
    if (fields) result[part.key] = fields;
  }
  return Object.keys(result).length > 0 ? result : undefined;
}

const below = ({ shape, field }: NamedPart, value: unknown) => fieldsBelow(shape, value, field, true);

/** Most objects are made from a template: the trees of specs seen lately, by the type's facts and the spec's text. Shared, not to be changed. */
const specs = new WeakMap<Field, Map<string, JsonObject>>();
const specsMax = 200; // of one kind
const specCharactersMax = 4_096;
function ofSpec(field: Field, shape: Shape, value: unknown): JsonObject | undefined {
  const text = JSON.stringify(value) ?? '';
  if (text.length > specCharactersMax) return fieldsBelow(shape, value, field, true);
  let known = specs.get(field);
  if (!known) specs.set(field, (known = new Map()));
  let fields = known.get(text);
  if (fields) return fields;
  fields = fieldsBelow(shape, value, field, true);
  if (!fields) return undefined;
  shareText(fields);
  if (known.size >= specsMax) known.clear();
  known.set(text, fields);
  return fields;
}

function metadataFields(shape: Shape, metadata: JsonObject, isAround: boolean): JsonObject | undefined {
  if (shape.kind !== 'struct' && shape.kind !== 'map') return undefined;
  const result: JsonObject = {};
  for (const name of sortedNames(metadata)) {
    if (serverOwned.metadata.has(name)) continue;
    const part = namedPart(shape, name);
    const value = metadata[name];
    const fields = isSet(shape, value) ? fieldsBelow(part.shape, value, part.field, isAround) : undefined;
    if (fields) result[part.key] = fields;
  }
  return Object.keys(result).length > 0 ? result : undefined;
}

/** `isAround`: the struct around it exists in Go even before anything is in it. Undefined: nothing here was changed. */
function fieldsBelow(
  shape: Shape,
  value: unknown,
  field: Field | undefined,
  isAround: boolean,
): JsonObject | undefined {
  const isHere = isImplicit(field, isAround);
  if (shape.kind === 'struct' || shape.kind === 'map') {
    const names = isObject(value) ? sortedNames(value) : [];
    if (names.length === 0) return isHere ? undefined : {};
    const found: JsonObject = isHere ? {} : { '.': {} };
    let below = 0;
    if (shape.kind === 'map' && isPiece(shape.items)) {
      // Labels, data: often thousands of keys, all alike.
      for (const name of names) found[`f:${name}`] = whole;
      return found;
    }
    for (const name of names) {
      const inner = (value as JsonObject)[name];
      if (!isSet(shape, inner)) continue;
      const part = namedPart(shape, name);
      const fields = fieldsBelow(part.shape, inner, part.field, isHere);
      if (!fields) continue;
      found[part.key] = fields;
      below++;
    }
    return below > 0 ? found : isHere ? undefined : {};
  }
  const parts = partsOf(shape, value);
  if (!parts || parts.size === 0) return isHere && isObject(value) && Object.keys(value).length === 0 ? undefined : {};
  const found: JsonObject = isHere ? {} : { '.': {} };
  for (const key of [...parts.keys()].sort()) {
    const part = parts.get(key)!;
    found[key] = fieldsBelow(part.shape, part.value, part.field, isHere) ?? {};
  }
  return found;
}

const isSet = (around: Shape, value: unknown): boolean => value !== undefined && (value !== null || keepsNulls(around));
/** One for all places with nothing below. */
const whole: JsonObject = Object.freeze({});
function sortedNames(object: JsonObject): string[] {
  const names = Object.keys(object).filter((name) => object[name] !== undefined);
  return names.every((name, index) => index === 0 || names[index - 1]! < name) ? names : names.sort();
}
