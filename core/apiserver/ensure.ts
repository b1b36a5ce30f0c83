import { isReason } from '#api';
import type { AnyKind, AnyObject } from './contract.ts';
import type { Core } from './core.ts';
import { systemCall, systemCreate } from './system-call.ts';
import { updateObject } from './update-object.ts';

/** Creates it, or brings the named fields of what is there to the wanted value. */
export async function ensure(
  core: Core,
  kind: { readonly plural: string },
  body: object,
  ...fields: string[]
): Promise<void> {
  const object = body as AnyObject;
  const { name = '', namespace = '' } = object.metadata;
  const current = core.cache.cacheOf(kind as AnyKind)?.get(namespace, name);
  try {
    if (!current) await systemCreate(core, kind as AnyKind, object);
    else if (fields.some((field) => JSON.stringify(current.object[field]) !== JSON.stringify(object[field]))) {
      await updateObject(systemCall(core, kind as AnyKind, 'update', namespace, name), {
        verb: 'update',
        build: (now) =>
          ({ ...now.draft(), ...Object.fromEntries(fields.map((field) => [field, object[field]])) }) as AnyObject,
      });
    }
  } catch (error) {
    if (!isReason(error, 'AlreadyExists', 'Conflict')) throw error; // another apiserver was faster
  }
}
