import { success } from '../answer.ts';
import { readObject } from '../body.ts';
import type { JsonObject } from '../contract.ts';
import type { Call } from '../core.ts';
import { deleteObject, deleteOptionsOf } from '../delete-object.ts';
import { valueAnswer } from '../write-answer.ts';

/** POST pods/NAME/eviction: a deletion that budgets may refuse; there are no budgets yet, so it deletes. */
export async function evict(call: Call): Promise<Response> {
  const { value } = await readObject(call.request);
  const options = deleteOptionsOf(value['deleteOptions'] as JsonObject | undefined, call.info.query);
  await deleteObject(call, call.info.namespace, call.info.name, options);
  return valueAnswer(call, { ...success(), code: 201 }, 201);
}
