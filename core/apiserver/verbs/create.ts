import { readObject } from '../body.ts';
import type { Call } from '../core.ts';
import { createObject } from '../create-object.ts';
import { decodeObject } from '../decode.ts';
import { objectAnswer } from '../write-answer.ts';

export async function create(call: Call): Promise<Response> {
  const object = decodeObject(call, await readObject(call.request, call.served.kind.kind));
  return objectAnswer(call, await createObject(call, object), 201);
}
