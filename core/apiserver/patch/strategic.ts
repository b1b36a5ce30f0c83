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
      throw bad(`Unknown patch type: ${JSON.stringify(patch[directive])}`);
  }
  const fields = fieldsOf(typeId);
  const result = { ...current };
  keepOnly(result, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key === directive || key === retainKeys || key.startsWith(orderPrefix)) continue;
    if (key.startsWith(deletePrefix)) {
      const name = key.slice(deletePrefix.length);
      const list = hasOwn(result, name) ? result[name] : undefined;
      // A list that the patch also names is pruned before it is merged.
      if (Array.isArray(list) && Array.isArray(value)) {
        const gone = new Set<unknown>(value);
        setOwn(
          result,
          name,
          list.filter((element) => !gone.has(element)),
        );
      }
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
  const names = new Set<unknown>(kept);
  for (const key of Object.keys(result)) if (!names.has(key)) delete result[key];
}

function mergeValue(field: Field | undefined, current: unknown, value: unknown): unknown {
  if (Array.isArray(value)) {
    if (!strategies(field).includes('merge')) return value.map(plain);
    const list = Array.isArray(current) ? current : [];
    const mergeKey = field?.mergeKey;
    const merged = mergeKey ? mergeList(field, list, value) : mergePrimitives(list, value);
    return inOrder(merged, value, list, (element) => (mergeKey && isObject(element) ? element[mergeKey] : element));
  }
  if (!isObject(value)) return value;
  if (strategies(field).includes('replace')) return plain(value);
  return mergeObject(field?.ref, isObject(current) ? current : {}, value);
}

const mergePrimitives = (current: readonly unknown[], added: readonly unknown[]): unknown[] => {
  const present = new Set(current);
  const fresh = new Set(added.filter((element) => !present.has(element)));
  return [...current, ...fresh];
};

function mergeList(field: Field, current: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const key = field.mergeKey!;
  const typeId = field.items?.ref;
  const entries = patch.map((entry) => {
    if (!isObject(entry)) throw bad(`a list merged by ${key} holds an element that is no object`);
    return entry;
  });
  if (entries.some((entry) => entry[directive] === 'replace'))
    return entries.filter((entry) => entry[directive] !== 'replace' || Object.keys(entry).length > 1).map(plain);
  const result: unknown[] = [...current]; // undefined where an element was deleted
  // Where the first element of each key stands; a search for each would make 10,000 entries 10^8 steps.
  const places = new Map<unknown, number[]>();
  const add = (element: unknown, at: number): void => {
    if (!isObject(element)) return;
    const known = places.get(element[key]);
    if (known) known.push(at);
    else places.set(element[key], [at]);
  };
  for (const [at, element] of result.entries()) add(element, at);
  for (const entry of entries) {
    const id = entry[key];
    if (id === undefined) throw bad(`map: ${JSON.stringify(entry)} does not contain declared merge key: ${key}`);
    const at = places.get(id)?.[0];
    if (entry[directive] === 'delete') {
      for (const place of places.get(id) ?? []) result[place] = undefined;
      places.delete(id);
      continue;
    }
    const { [directive]: mode, ...rest } = entry;
    const live = at === undefined ? {} : (result[at] as JsonObject);
    const merged = mode === 'replace' ? plain(rest) : mergeObject(typeId, live, rest);
    if (at === undefined) add(merged, result.push(merged) - 1);
    else result[at] = merged;
  }
  return result.filter((element) => element !== undefined);
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
    const list = hasOwn(result, name) ? result[name] : undefined;
    if (!Array.isArray(list)) continue;
    const mergeKey = fields && hasOwn(fields as JsonObject, name) ? fields[name]?.mergeKey : undefined;
    const idOf = (element: unknown): unknown => (mergeKey && isObject(element) ? element[mergeKey] : element);
    setOwn(result, name, inOrder(list, wanted, Array.isArray(before[name]) ? before[name] : [], idOf));
  }
}
/**
 * Elements that `wanted` names come in its order, the others keep their place beside them as it was in `before`: an
 * element that is new stands before all that were there, as upstream puts it.
 */
function inOrder(
  list: readonly unknown[],
  wanted: readonly unknown[],
  before: readonly unknown[],
  idOf: (element: unknown) => unknown,
): unknown[] {
  const order = new Map(wanted.map((element, index) => [idOf(element), index]));
  const ordered = list.filter((element) => order.has(idOf(element)));
  ordered.sort((left, right) => order.get(idOf(left))! - order.get(idOf(right))!);
  const others = list.filter((element) => !order.has(idOf(element)));
  return interleave(ordered, others, before.map(idOf), idOf);
}
/** `others` keep their place relative to the live list: before the first ordered element that followed them there. */
function interleave(
  ordered: unknown[],
  others: unknown[],
  previous: unknown[],
  idOf: (element: unknown) => unknown,
): unknown[] {
  const places = new Map([...previous.entries()].map(([at, id]) => [id, at] as const).reverse()); // the first one counts
  const place = (element: unknown): number => places.get(idOf(element)) ?? -1;
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
