import { type Field, facts } from '#api';
import type { JsonObject } from '../contract.ts';
import { FieldSet, leaf as leafSet } from './field-set.ts';
import { isObject, setOwn } from './merge.ts';

/** How server-side apply sees a value: one piece, named parts, or elements found by their keys. */
export type Shape =
  | { readonly kind: 'leaf' }
  | { readonly kind: 'struct'; readonly type: Fields }
  | { readonly kind: 'map'; readonly items: Field }
  | { readonly kind: 'keyed' /** Sorted. */; readonly keys: readonly string[]; readonly items: Field }
  | { readonly kind: 'set' };
const leaf: Shape = { kind: 'leaf' };
/** Of a type in the facts table, or of a custom kind. */
type Fields = Pick<Field, 'fields' | 'rest'>;

const shapes = new WeakMap<Field, Shape>();
export function shapeOf(field: Field | undefined): Shape {
  if (!field) return leaf;
  let shape = shapes.get(field);
  if (!shape) shapes.set(field, (shape = shapeFor(field)));
  return shape;
}
function shapeFor(field: Field): Shape {
  if (field.mapType === 'atomic') return leaf;
  if (field.type === 'ref') {
    const type = facts().types[field.ref!];
    return !type || type.open || type.mapType === 'atomic' ? leaf : { kind: 'struct', type };
  }
  if (field.type === 'struct') return { kind: 'struct', type: field };
  if (field.type === 'map') return { kind: 'map', items: field.items! };
  if (field.type === 'array' && field.listType === 'map')
    return { kind: 'keyed', keys: (field.listMapKeys ?? []).toSorted(), items: field.items! };
  if (field.type === 'array' && field.listType === 'set') return { kind: 'set' };
  return leaf;
}
/** Of a built-in type by its id, or of a custom one by its fields. */
export function rootShape(type: string | Field): Shape {
  if (typeof type !== 'string') return shapeOf(type);
  const known = facts().types[type];
  return known ? { kind: 'struct', type: known } : { kind: 'map', items: { type: 'any' } };
}
export const fieldOf = (typeId: string, name: string): Field | undefined => {
  const fields = facts().types[typeId]?.fields;
  return fields && Object.hasOwn(fields, name) ? fields[name] : undefined;
};

export interface NamedPart {
  readonly key: string;
  readonly shape: Shape;
  readonly field: Field | undefined;
}
/** By type (its facts, so that a type that is replaced is not remembered) and name; only names of the facts: clients cannot fill it. */
const namedParts = new WeakMap<object, Map<string, NamedPart>>();
/** What stands under this name in a struct or a map. */
export function namedPart(shape: Shape & { kind: 'struct' | 'map' }, name: string): NamedPart {
  if (shape.kind === 'map') return { key: `f:${name}`, shape: shapeOf(shape.items), field: shape.items };
  const { type } = shape;
  let parts = namedParts.get(type);
  if (!parts) namedParts.set(type, (parts = new Map()));
  let part = parts.get(name);
  if (part) return part;
  const declared = type.fields && Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
  const field = declared ?? type.rest;
  part = { key: `f:${name}`, shape: shapeOf(field), field };
  if (declared) parts.set(name, part);
  return part;
}

export interface Part {
  readonly key: string;
  readonly value: unknown;
  readonly shape: Shape;
  readonly field?: Field;
  /** For an element of a list: its place there. */
  readonly index?: number;
}
/** The parts of a value that are owned one by one; undefined for a leaf. */
export function partsOf(shape: Shape, value: unknown): Map<string, Part> | undefined {
  const parts = new Map<string, Part>();
  if (shape.kind === 'struct' || shape.kind === 'map') {
    if (!isObject(value)) return undefined;
    for (const [name, inner] of Object.entries(value)) {
      if (inner === undefined) continue;
      const { key, shape: below, field } = namedPart(shape, name);
      parts.set(key, { key, value: inner, shape: below, field });
    }
    return parts;
  }
  if (shape.kind === 'leaf' || !Array.isArray(value)) return undefined;
  for (const [index, inner] of (value as unknown[]).entries()) {
    const key = shape.kind === 'set' ? `v:${JSON.stringify(inner)}` : keyOfElement(shape, inner);
    if (key !== undefined && !parts.has(key))
      parts.set(key, { key, value: inner, shape: shape.kind === 'set' ? leaf : shapeOf(shape.items), index });
  }
  return parts;
}
export function keyOfElement(shape: Shape & { kind: 'keyed' }, element: unknown): string | undefined {
  if (!isObject(element)) return undefined;
  const keys: JsonObject = {};
  for (const name of shape.keys) {
    const value =
      element[name] ?? (shape.items.ref ? fieldOf(shape.items.ref, name) : shape.items.fields?.[name])?.default;
    if (value !== undefined) keys[name] = value;
  }
  return `k:${JSON.stringify(keys)}`;
}

/** Everything that a configuration names. */
export function fieldsOf(shape: Shape, value: unknown, set = new FieldSet()): FieldSet {
  if (shape.kind === 'struct' || shape.kind === 'map') {
    const names = isObject(value) ? Object.keys(value) : [];
    for (const name of names) {
      const inner = (value as JsonObject)[name];
      if (inner === undefined) continue;
      const part = namedPart(shape, name);
      const child = fieldsOf(part.shape, inner, set.child(part.key));
      if (shape.kind === 'map') child.own = true;
    }
  } else
    for (const part of partsOf(shape, value)?.values() ?? [])
      fieldsOf(part.shape, part.value, set.child(part.key)).own = true;
  if (set.children.size === 0) set.own = true;
  return set;
}

export interface Difference {
  /** Added or modified. */
  readonly changed: FieldSet;
  readonly removed: FieldSet;
}
/** Whether the struct around a value is there before and after, be it only as Go's zero value. */
interface Around {
  readonly before: boolean;
  readonly after: boolean;
}
const atRoot: Around = { before: true, after: true };
/**
 * Always there in Go, once the struct around it is: a struct that is no pointer, and a list that JSON never leaves out.
 * Its arrival is not a change of its own.
 */
export const isImplicit = (field: Field | undefined, isAround: boolean): boolean =>
  isAround &&
  ((field?.type === 'ref' && field.default !== undefined) ||
    ((field?.type === 'array' || field?.type === 'map') && !field.omitZero));
const within = (field: Field | undefined, before: unknown, after: unknown, around: Around): Around => ({
  before: before !== undefined || isImplicit(field, around.before),
  after: after !== undefined || isImplicit(field, around.after),
});

export function compare(shape: Shape, before: unknown, after: unknown): Difference {
  const difference = { changed: new FieldSet(), removed: new FieldSet() };
  // Whole objects are seldom equal: their parts are compared one by one at once.
  diff(shape, before, after, difference.changed, difference.removed, undefined, atRoot, true);
  return difference;
}
function diff(
  shape: Shape,
  before: unknown,
  after: unknown,
  changed: FieldSet,
  removed: FieldSet,
  field: Field | undefined,
  around: Around,
  isCompared = false,
): void {
  if (before === after) return;
  // Most of what an update brings is what was there, in other memory; only what differs is gone through part by part.
  if (!isCompared && isBranch(before) && isBranch(after) && Bun.deepEquals(before, after, false)) return;
  if (shape.kind === 'struct' || shape.kind === 'map') {
    diffNamed(shape, before, after, changed, removed, field, around);
    return;
  }
  const [old, now] = [partsOf(shape, before), partsOf(shape, after)];
  const branches = (old?.size ?? 0) + (now?.size ?? 0) > 0;
  if (!branches) {
    // Equal pieces need not be the same piece of memory: a client sent them back.
    if (Bun.deepEquals(before, after, false)) return;
    // Go's zero value of a struct that is owned as one piece.
    if (before === undefined && isImplicit(field, around.before) && isObject(after) && isEmpty(after)) return;
    if (after === undefined) removed.own = true;
    else changed.own = true;
    return;
  }
  const here = within(field, before, after, around);
  if (!here.before) changed.own = true;
  if (!here.after) removed.own = true;
  for (const key of new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])) {
    const [left, right] = [old?.get(key), now?.get(key)];
    const part = (right ?? left)!;
    const [more, less] = [new FieldSet(), new FieldSet()];
    diff(part.shape, left?.value, right?.value, more, less, part.field, here);
    if (!more.isEmpty) changed.set(key, more);
    if (!less.isEmpty) removed.set(key, less);
  }
}

/** As diff does, without a table of the parts: most of an object's fields are the same, often the same piece of memory. */
function diffNamed(
  shape: Shape & { kind: 'struct' | 'map' },
  before: unknown,
  after: unknown,
  changed: FieldSet,
  removed: FieldSet,
  field: Field | undefined,
  around: Around,
): void {
  const here = within(field, before, after, around);
  const old = isObject(before) ? before : none;
  const now = isObject(after) ? after : none;
  const isPieces = isOfPieces(shape);
  let parts = 0;
  const each = (name: string) => {
    parts++;
    const left = ownOf(old, name);
    const right = ownOf(now, name);
    if (left === right || (left === undefined && right === null && !keepsNulls(shape))) return;
    if (isPieces && !isBranch(left) && !isBranch(right)) {
      // Labels, data: often thousands of keys, all alike.
      if (right === undefined) removed.set(`f:${name}`, leafSet);
      else changed.set(`f:${name}`, leafSet);
      return;
    }
    const part = namedPart(shape, name);
    // Before sets are made for it. Of pieces, finding what differs takes no longer.
    if (isBranch(left) && isBranch(right) && !isOfPieces(part.shape) && Bun.deepEquals(left, right, false)) return;
    const more = new FieldSet();
    const less = new FieldSet();
    diff(part.shape, left, right, more, less, part.field, here, true);
    if (!more.isEmpty) changed.set(part.key, more);
    if (!less.isEmpty) removed.set(part.key, less);
  };
  for (const name of Object.keys(old)) if (old[name] !== undefined) each(name);
  for (const name of Object.keys(now)) if (now[name] !== undefined && ownOf(old, name) === undefined) each(name);
  if (parts === 0) {
    if (!here.after) removed.own = true;
    else if (!here.before || (before !== undefined && !Bun.deepEquals(before, after, false))) changed.own = true;
    return;
  }
  if (!here.before) changed.own = true;
  if (!here.after) removed.own = true;
}
/** Owned whole, and never there before it was written. */
export const isPiece = ({ type }: Field): boolean =>
  type === 'string' || type === 'integer' || type === 'number' || type === 'boolean';

const isOfPieces = (shape: Shape): boolean => shape.kind === 'map' && isPiece(shape.items);
const isBranch = (value: unknown): boolean => typeof value === 'object' && value !== null;
/** Go drops a null where it knows the type; custom kinds may mean it, and so may what lies in a map: where one may not be, it was made a value. */
export const keepsNulls = (shape: Shape): boolean =>
  shape.kind === 'map' || (shape.kind === 'struct' && (shape.type as Field).type === 'struct');
const none: JsonObject = {};
const isEmpty = (object: JsonObject): boolean => Object.keys(object).length === 0;
/** No value of JSON is a function, and what objects have from elsewhere is nothing else: asking hasOwn takes five times as long. */
function ownOf(object: JsonObject, name: string): unknown {
  const value = object[name];
  return typeof value === 'function' || (name === '__proto__' && !Object.hasOwn(object, name)) ? undefined : value;
}

/** The live value with the configuration laid over it; shares what it does not change. */
export function mergeTyped(shape: Shape, live: unknown, config: unknown): unknown {
  if (shape.kind === 'struct' || shape.kind === 'map') {
    if (!isObject(config) || !isObject(live)) return config;
    let result = live;
    for (const name of Object.keys(config)) {
      const inner = config[name];
      if (inner === undefined) continue;
      const old = ownOf(live, name);
      const merged = inner === old ? old : mergeTyped(namedPart(shape, name).shape, old, inner);
      if (merged === old && merged !== undefined) continue;
      if (result === live) result = { ...live };
      setOwn(result, name, merged);
    }
    return result;
  }
  const named = partsOf(shape, config);
  const present = partsOf(shape, live);
  if (!named || !present) return config;
  let result = live as unknown[];
  const mine = () => (result === live ? (result = [...result]) : result);
  for (const part of named.values()) {
    const at = present.get(part.key)?.index;
    if (at === undefined) {
      mine().push(part.value);
      continue;
    }
    const merged = mergeTyped(part.shape, result[at], part.value);
    if (merged !== result[at]) mine()[at] = merged;
  }
  return result;
}

/** Without the places of `gone`; a place with something of `kept` in or below it stays. */
export function removeTyped(shape: Shape, value: unknown, gone: FieldSet, kept: FieldSet): unknown {
  const parts = partsOf(shape, value);
  if (!parts) return value;
  const dropped = new Set<string | number>();
  const replaced = new Map<string | number, unknown>();
  for (const [key, part] of parts) {
    const lost = gone.children.get(key);
    if (!lost) continue;
    const held = kept.children.get(key);
    const place = part.index ?? key.slice(2);
    const inner =
      lost.children.size > 0 ? removeTyped(part.shape, part.value, lost, held ?? new FieldSet()) : part.value;
    const emptied = isObject(inner) && Object.keys(inner).length === 0 && inner !== part.value;
    const needless = !held || held.isEmpty;
    if (needless && (lost.own || emptied)) dropped.add(place);
    else if (inner !== part.value) replaced.set(place, inner);
  }
  if (dropped.size === 0 && replaced.size === 0) return value;
  if (Array.isArray(value))
    return value
      .map((element: unknown, index) => (replaced.has(index) ? replaced.get(index) : element))
      .filter((_, index) => !dropped.has(index));
  const result: JsonObject = {};
  for (const [name, inner] of Object.entries(value as JsonObject))
    if (!dropped.has(name)) setOwn(result, name, replaced.has(name) ? replaced.get(name) : inner);
  return result;
}
