import { isReason } from '#api';
import { readOptionalObject } from '../body.ts';
import type { CachedObject } from '../cached-object.ts';
import type { Call } from '../core.ts';
import { deleteObject, deleteOptionsOf, nameOnly } from '../delete-object.ts';
import { selectionOf } from '../selection.ts';
import { viewList, viewOf } from '../views.ts';
import { valueAnswer } from '../write-answer.ts';

/** At once: enough to share one sync of the disk. */
const workersMax = 16;

export async function removeCollection(call: Call): Promise<Response> {
  const { kind } = call.served;
  const options = deleteOptionsOf((await readOptionalObject(call.request))?.value, call.info.query);
  const selection = selectionOf(call.served, call.info);
  const sealed = selection.everything ? call.resources.allUnreadable(selection.namespace) : [];
  const objects = [...call.resources.list(selection), ...sealed.map(nameOnly)];
  const removed: CachedObject[] = [];
  let at = 0;
  const worker = async (): Promise<void> => {
    for (let index = at++; index < objects.length; index = at++) {
      const { namespace, name } = objects[index]!;
      try {
        await deleteObject(call, kind.namespaced ? namespace : '', name, options);
        removed[index] = objects[index]!; // as it was found: what became of it is not in the answer
      } catch (error) {
        if (isReason(error, 'NotFound')) continue; // somebody else was faster
        at = objects.length; // one refusal ends it, as upstream
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(workersMax, objects.length) }, worker));
  const view = viewOf(call);
  return valueAnswer(
    call,
    viewList(view, call.served, removed.filter(Boolean), { resourceVersion: call.core.cache.reached }),
  );
}
