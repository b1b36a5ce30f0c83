import { type Field, facts, StatusError } from '#api';
import type { JsonObject } from '../contract.ts';
import { applyMergePatch, hasOwn, isObject, setOwn } from './merge.ts';

const directive = '$patch';
const retainKeys = '$retainKeys';
const deletePrefix = '$deleteFromPrimitiveList/';
const orderPrefix = '$setElementOrder/';

const bad = (message: string): StatusError => new StatusError(400, 'BadRequest', message);
const fieldsOf = (typeId: string | undefined): Readonly<Record<string, Field>> | undefined =>
  typeId ? facts().types[typeId]?.fields : undefined;
const strategies = (field: Field | undefined): string[] => field?.patchStrategy?.split(',') ?? [];

/** Merges lists by their keys as the facts table says. `typeId` unknown: a merge patch, as upstream for custom kinds. */
export function applyStrategicPatch(typeId: string, document: JsonObject, patch: JsonObject): JsonObject {
  if (!fieldsOf(typeId)) return applyMergePatch(document, patch);
  return mergeObject(typeId, document, patch);
}

function mergeObject(typeId: string | undefined, current: JsonObject, patch: JsonObject): JsonObject {
  switch (patch[directive]) {
    case undefined:
    case 'merge':
      break;
    case 'replace':
      return plain(patch);
    case 'delete':
      return {};
    default:
      throw bad(`Unknown patch type: ${String(patch[directive])}`);
  }
  const fields = fieldsOf(typeId);
  const result = { ...current };
  keepOnly(result, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key === directive || key === retainKeys || key.startsWith(orderPrefix)) continue;
    if (key.startsWith(deletePrefix)) {
      const name = key.slice(deletePrefix.length);
      const list = result[name];
      // A list that the patch also names is pruned before it is merged.
      if (Array.isArray(list))
        setOwn(
          result,
          name,
          list.filter((element) => !(value as unknown[]).includes(element)),
        );
      continue;
    }
    const field = fields && hasOwn(fields as JsonObject, key) ? fields[key] : undefined;
    if (value === null) delete result[key];
    else setOwn(result, key, mergeValue(field, hasOwn(result, key) ? result[key] : undefined, value));
  }
  orderLists(result, patch, current, fields);
  return result;
}

function keepOnly(result: JsonObject, patch: JsonObject): void {
  const kept = patch[retainKeys];
  if (kept === undefined) return;
  if (!Array.isArray(kept)) throw bad('$retainKeys must be a list of field names');
  for (const key of Object.keys(result)) if (!kept.includes(key)) delete result[key];
}

function mergeValue(field: Field | undefined, current: unknown, value: unknown): unknown {
  if (Array.isArray(value)) {
    if (!strategies(field).includes('merge')) return value.map(plain);
    const list = Array.isArray(current) ? current : [];
    return field?.mergeKey ? mergeList(field, list, value) : mergePrimitives(list, value);
  }
  if (!isObject(value)) return value;
  if (strategies(field).includes('replace')) return plain(value);
  return mergeObject(field?.ref, isObject(current) ? current : {}, value);
}

const mergePrimitives = (current: readonly unknown[], added: readonly unknown[]): unknown[] => [
  ...current,
  ...added.filter((element, index) => !current.includes(element) && added.indexOf(element) === index),
];

function mergeList(field: Field, current: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const key = field.mergeKey!;
  const typeId = field.items?.ref;
  const entries = patch.map((entry) => {
    if (!isObject(entry)) throw bad(`a list merged by ${key} holds an element that is no object`);
    return entry;
  });
  if (entries.some((entry) => entry[directive] === 'replace'))
    return entries.filter((entry) => entry[directive] !== 'replace' || Object.keys(entry).length > 1).map(plain);
  let result = [...current];
  for (const entry of entries) {
    const id = entry[key];
    if (id === undefined) throw bad(`map: ${JSON.stringify(entry)} does not contain declared merge key: ${key}`);
    const matches = (element: unknown): boolean => isObject(element) && element[key] === id;
    if (entry[directive] === 'delete') result = result.filter((element) => !matches(element));
    else {
      const at = result.findIndex(matches);
      const { [directive]: mode, ...rest } = entry;
      const merged =
        mode === 'replace' ? plain(rest) : mergeObject(typeId, at < 0 ? {} : (result[at] as JsonObject), rest);
      if (at < 0) result.push(merged);
      else result[at] = merged;
    }
  }
  return result;
}

/** Puts named elements into the order asked for; the server's own stay beside the element they followed. */
function orderLists(
  result: JsonObject,
  patch: JsonObject,
  before: JsonObject,
  fields: Readonly<Record<string, Field>> | undefined,
): void {
  for (const [key, wanted] of Object.entries(patch)) {
    if (!key.startsWith(orderPrefix) || !Array.isArray(wanted)) continue;
    const name = key.slice(orderPrefix.length);
    const list = result[name];
    if (!Array.isArray(list)) continue;
    const mergeKey = fields?.[name]?.mergeKey;
    const idOf = (element: unknown): unknown => (mergeKey && isObject(element) ? element[mergeKey] : element);
    const order = new Map(wanted.map((element, index) => [idOf(element), index]));
    const previous = Array.isArray(before[name]) ? (before[name] as unknown[]).map(idOf) : [];
    const ordered = list.filter((element) => order.has(idOf(element)));
    ordered.sort((left, right) => order.get(idOf(left))! - order.get(idOf(right))!);
    const others = list.filter((element) => !order.has(idOf(element)));
    setOwn(result, name, interleave(ordered, others, previous, idOf));
  }
}
/** `others` keep their place relative to the live list: before the first ordered element that followed them there. */
function interleave(
  ordered: unknown[],
  others: unknown[],
  previous: unknown[],
  idOf: (element: unknown) => unknown,
): unknown[] {
  const place = (element: unknown): number => previous.indexOf(idOf(element));
  const result: unknown[] = [];
  let next = 0;
  for (const element of ordered) {
    const at = place(element);
    while (next < others.length && at >= 0 && place(others[next]) >= 0 && place(others[next]) < at)
      result.push(others[next++]);
    result.push(element);
  }
  return [...result, ...others.slice(next)];
}

/** Without directives and nulls, as an added value is stored. */
function plain(value: JsonObject): JsonObject;
function plain(value: unknown): unknown;
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((element) => plain(element as unknown));
  if (!isObject(value)) return value;
  const result: JsonObject = {};
  for (const [key, inner] of Object.entries(value)) {
    if (
      inner === null ||
      key === directive ||
      key === retainKeys ||
      key.startsWith(deletePrefix) ||
      key.startsWith(orderPrefix)
    )
      continue;
    setOwn(result, key, plain(inner));
  }
  return result;
}
