import jsonpatch, { type Operation } from 'fast-json-patch';
import { StatusError } from '#api';
import type { JsonObject } from '../contract.ts';
import { depthMax } from '../json-scan.ts';
import { setOwn } from './merge.ts';

export const operationsMax = 10_000;
const verbs = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);
/** What copies may add up to, as upstream; without a bound, 40 of them double a document beyond all memory. */
const copiedBytesMax = 3 * 1024 * 1024;
/** Elements that insertions into lists and removals from them may shift in all: 10,000 in the middle of 350,000 take seconds. */
const shiftedMax = 20_000_000;

const refuse = (message: string): StatusError => new StatusError(400, 'BadRequest', message);
/** Upstream does not say which operation it was. */
const unprocessable = (): StatusError =>
  new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});

function checkOperations(operations: unknown): asserts operations is Operation[] {
  if (!Array.isArray(operations))
    throw refuse(
      `error decoding patch: json: cannot unmarshal ${operations === null ? 'null' : typeof operations} into Go value of type []handlers.jsonPatchOp`,
    );
  if (operations.length > operationsMax)
    throw new StatusError(
      413,
      'RequestEntityTooLarge',
      `Request entity too large: The allowed maximum operations in a JSON patch is ${operationsMax}, got ${operations.length}`,
    );
  for (const operation of operations) {
    if (typeof operation !== 'object' || operation === null || Array.isArray(operation))
      throw refuse(
        `error decoding patch: json: cannot unmarshal ${Array.isArray(operation) ? 'array' : typeof operation} into Go value of type handlers.jsonPatchOp`,
      );
    const { op, path, from } = operation as Record<string, unknown>;
    if (typeof op !== 'string' || !verbs.has(op) || typeof path !== 'string') throw unprocessable();
    if ((op === 'move' || op === 'copy') && typeof from !== 'string') throw unprocessable();
    for (const pointer of [path, from])
      if (typeof pointer === 'string' && /(^|\/)(__proto__|constructor|prototype)(\/|$)/.test(pointer))
        throw refuse(`error decoding patch: path ${JSON.stringify(pointer)} is not allowed`);
  }
}

/** RFC 6902. A failing test or a path that does not exist is 422, and nothing is changed. */
export function applyJsonPatch(document: JsonObject, operations: unknown): JsonObject {
  checkOperations(operations);
  let current = clone(document);
  let copied = 0;
  let shifted = 0;
  for (const operation of operations) {
    try {
      if (operation.op === 'copy')
        copied += JSON.stringify(jsonpatch.getValueByPointer(current, operation.from) ?? null).length;
      shifted += shiftOf(current, operation);
      if (copied > copiedBytesMax || shifted > shiftedMax) throw unprocessable();
      current = jsonpatch.applyOperation(current, ownValue(operation), true, true, false).newDocument;
    } catch {
      throw unprocessable();
    }
  }
  if (typeof current !== 'object' || current === null || Array.isArray(current)) throw unprocessable();
  // Copies into themselves nest by doubling: the text of the patch does not show how deep.
  if (copied > 0 && isDeeper(current, depthMax)) throw unprocessable();
  return current;
}

/** Later operations change what earlier ones brought; the patch itself may have to be applied again. */
const ownValue = (operation: Operation): Operation =>
  'value' in operation ? { ...operation, value: clone(operation.value as unknown) } : operation;

/** How many elements of a list make way. */
function shiftOf(document: JsonObject, { op, path }: Operation): number {
  if (op !== 'add' && op !== 'remove' && op !== 'move' && op !== 'copy') return 0;
  const slash = path.lastIndexOf('/');
  if (!/^\d+$/.test(path.slice(slash + 1))) return 0;
  const list: unknown = jsonpatch.getValueByPointer(document, path.slice(0, slash));
  return Array.isArray(list) ? Math.max(0, list.length - Number(path.slice(slash + 1))) : 0;
}

const isDeeper = (value: unknown, left: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (left === 0 || Object.values(value).some((inner) => isDeeper(inner, left - 1)));

/** structuredClone takes ten times as long. */
const clone = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(clone) as T;
  const copy: JsonObject = {};
  for (const key in value) setOwn(copy, key, clone((value as JsonObject)[key]));
  return copy as T;
};
