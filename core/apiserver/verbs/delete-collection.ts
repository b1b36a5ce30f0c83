import { isReason } from '#api';
import { readOptionalObject } from '../body.ts';
import type { CachedObject } from '../cached-object.ts';
import type { Call } from '../core.ts';
import { deleteObject, deleteOptionsOf } from '../delete-object.ts';
import { selectionOf } from '../selection.ts';
import { viewList, viewOf } from '../views.ts';
import { valueAnswer } from '../write-answer.ts';

export async function removeCollection(call: Call): Promise<Response> {
  const { kind } = call.served;
  const options = deleteOptionsOf((await readOptionalObject(call.request))?.value, call.info.query);
  const selection = selectionOf(call.served, call.info);
  const removed: CachedObject[] = [];
  const sealed = selection.everything ? call.resources.allUnreadable(selection.namespace) : [];
  for (const object of [...call.resources.list(selection), ...sealed]) {
    try {
      removed.push((await deleteObject(call, kind.namespaced ? object.namespace : '', object.name, options)).object);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error; // somebody else was faster
    }
  }
  const view = viewOf(call);
  return valueAnswer(call, viewList(view, call.served, removed, { resourceVersion: call.core.cache.reached }));
}
