import jsonpatch, { type Operation } from 'fast-json-patch';
import { StatusError } from '#api';
import type { JsonObject } from '../contract.ts';

export const operationsMax = 10_000;
const verbs = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);
/** What copies may add up to; without a bound, 40 of them double a document beyond all memory. */
const copiedBytesMax = 3 * 1024 * 1024;

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
      `The allowed maximum operations in a JSON patch is ${operationsMax}, got ${operations.length}`,
    );
  for (const operation of operations) {
    const { op, path, from } = (operation ?? {}) as Record<string, unknown>;
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
  const size = JSON.stringify(document).length;
  let current = structuredClone(document);
  let copied = 0;
  for (const operation of operations) {
    if (operation.op === 'copy' && (copied += size + copied) > copiedBytesMax * 8)
      throw new StatusError(413, 'RequestEntityTooLarge', 'the copies of this JSON patch add up to too much');
    try {
      current = jsonpatch.applyOperation(current, structuredClone(operation), true, true, false).newDocument;
    } catch {
      throw unprocessable();
    }
  }
  if (typeof current !== 'object' || current === null || Array.isArray(current)) throw unprocessable();
  return current;
}
