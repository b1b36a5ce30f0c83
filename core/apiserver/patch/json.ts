import jsonpatch, { type Operation } from 'fast-json-patch';
import { StatusError } from '#api';
import type { JsonObject } from '../contract.ts';

export const operationsMax = 10_000;
const verbs = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);
/** What copies may add up to; without a bound, 40 of them double a document beyond all memory. */
const copiedBytesMax = 3 * 1024 * 1024;

const refuse = (message: string): StatusError => new StatusError(400, 'BadRequest', message);
const unprocessable = (message: string): StatusError => new StatusError(422, 'Invalid', message);

function checkOperations(operations: unknown): asserts operations is Operation[] {
  if (!Array.isArray(operations)) throw refuse('error decoding patch: a JSON patch must be a list of operations');
  if (operations.length > operationsMax)
    throw new StatusError(
      413,
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${operationsMax}, got ${operations.length}`,
    );
  for (const [index, operation] of operations.entries()) {
    const { op, path, from } = (operation ?? {}) as Record<string, unknown>;
    if (typeof op !== 'string' || !verbs.has(op) || typeof path !== 'string')
      throw refuse(`error decoding patch: operation ${index} needs an op and a path`);
    if ((op === 'move' || op === 'copy') && typeof from !== 'string')
      throw refuse(`error decoding patch: operation ${index} needs a from`);
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
    } catch (error) {
      const name = (error as { name?: string }).name ?? '';
      throw unprocessable(
        name === 'TEST_OPERATION_FAILED'
          ? `the server rejected our request due to an error in our request: testing path ${operation.path} failed`
          : `the server rejected our request due to an error in our request: ${operation.op} operation does not apply: doc is missing path: ${operation.path}: missing value`,
      );
    }
  }
  if (typeof current !== 'object' || current === null || Array.isArray(current))
    throw unprocessable('the server rejected our request due to an error in our request: the result is no object');
  return current;
}
