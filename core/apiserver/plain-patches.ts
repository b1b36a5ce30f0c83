import jsonPatch, { type Operation } from 'fast-json-patch';
import { errors, StatusError } from '#api';
import type { JsonObject, Patches } from './contract.ts';

const absent = (what: string) => new StatusError(501, 'NotImplemented', `${what} is not built into this server`);
const copy = (value: JsonObject): JsonObject => JSON.parse(JSON.stringify(value)) as JsonObject;

/** JSON and merge patches only; what a server without the patch engine can do. */
export const plainPatches: Patches = {
  applyJsonPatch(document, operations) {
    if (!Array.isArray(operations)) throw errors.badRequest('a JSON patch must be a list of operations');
    try {
      return jsonPatch.applyPatch(copy(document), operations as Operation[], true, true, true).newDocument;
    } catch (error) {
      throw new StatusError(
        422,
        'Invalid',
        `the server rejected our request due to an error in our request: ${String(error)}`,
      );
    }
  },
  applyMergePatch: (document, patch) => merge(copy(document), patch) as JsonObject,
  applyStrategicPatch() {
    throw absent('a strategic merge patch');
  },
  serverSideApply() {
    throw absent('server-side apply');
  },
  trackUpdate() {},
};

function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const out = (typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {}) as JsonObject;
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else out[key] = merge(out[key], value);
  }
  return out;
}
