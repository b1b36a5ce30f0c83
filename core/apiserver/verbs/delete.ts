import { success } from '../answer.ts';
import { readOptionalObject } from '../body.ts';
import type { Call } from '../core.ts';
import { deleteObject, deleteOptionsOf } from '../delete-object.ts';
import { objectAnswer, valueAnswer } from '../write-answer.ts';

export async function remove(call: Call): Promise<Response> {
  const { kind } = call.served;
  const options = deleteOptionsOf((await readOptionalObject(call.request))?.value, call.info.query);
  const { object, gone } = await deleteObject(
    call,
    kind.namespaced ? call.info.namespace : '',
    call.info.name,
    options,
  );
  if (!gone || call.served.strategy.answersDeleted) return objectAnswer(call, object);
  return valueAnswer(
    call,
    success({ name: object.name, group: kind.group || undefined, kind: kind.plural, uid: object.object.metadata.uid }),
  );
}
