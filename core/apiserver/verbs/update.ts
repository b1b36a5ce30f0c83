import { errors, fieldErrors, invalidObject } from '#api';
import { parseExactly } from '#base';
import { readObject } from '../body.ts';
import type { AnyObject } from '../contract.ts';
import type { Call } from '../core.ts';
import { createObject } from '../create-object.ts';
import { decodeObject } from '../decode.ts';
import { updateObject } from '../update-object.ts';
import { objectAnswer } from '../write-answer.ts';

export async function update(call: Call): Promise<Response> {
  const object = decodeObject(call, await readObject(call.request, call.served.kind.kind));
  const { kind } = call.served;
  const { name } = object.metadata;
  if (name && name !== call.info.name)
    throw errors.badRequest(`the name of the object (${name}) does not match the name on the URL (${call.info.name})`);
  const exists = call.resources.get(kind.namespaced ? call.info.namespace : '', call.info.name);
  if (!exists && call.served.strategy.createdByUpdate && !call.info.subresource && !object.metadata.resourceVersion) {
    object.metadata.name = call.info.name;
    return objectAnswer(call, await createObject(call, object), 201);
  }
  if (exists && call.served.strategy.needsVersion && !object.metadata.resourceVersion) {
    throw invalidObject(kind.plural, kind.group, call.info.name, [
      fieldErrors.invalid('metadata.resourceVersion', 0, 'must be specified for an update'),
    ]);
  }
  let fresh: AnyObject | undefined = object;
  const text = JSON.stringify(object); // the retry after a lost race starts from what the client sent
  const next = await updateObject(call, {
    verb: 'update',
    subresource: call.info.subresource,
    build: () => {
      const draft = fresh ?? (parseExactly(text) as AnyObject);
      fresh = undefined;
      return draft;
    },
  });
  return objectAnswer(call, next);
}
