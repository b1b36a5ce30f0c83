import type { Kind } from '#api';
import type { ApiPartContext, PartObjects } from '#sdk';
import type { AnyKind, AnyObject } from './contract.ts';
import type { Core } from './core.ts';
import { deleteObject } from './delete-object.ts';
import { checkMetadata } from './strategies/rules/metadata.ts';
import { systemCall, systemCreate } from './system-call.ts';
import { updateObject } from './update-object.ts';

/** Starts the API-server parts of plugins, one after the other: what the first serves, the second may use. */
export async function startParts(core: Core): Promise<void> {
  const { kinds, reader, clock, random, signal } = core;
  for (const part of core.options.parts ?? []) {
    const context: ApiPartContext = {
      kinds,
      reader,
      objects: objectsOf(core),
      checkMetadata: (object, current) => checkMetadata(object, current, undefined, true),
      clock,
      random,
      log: core.log.with({ part: part.name }),
      signal,
    };
    await part.start(context);
  }
}

const unchanged = new Error('nothing to change');
function objectsOf(core: Core): PartObjects {
  return {
    async create(kind, object) {
      await systemCreate(core, kind as AnyKind, object as AnyObject);
    },
    async update(kind: Kind, { namespace = '', name, subresource = '' }, change) {
      const call = systemCall(core, kind as AnyKind, 'update', namespace, name);
      const build = (current: { draft(): AnyObject }): AnyObject => {
        const draft = current.draft();
        if (!change(draft)) throw unchanged;
        return draft;
      };
      try {
        await updateObject({ ...call, info: { ...call.info, subresource } }, { verb: 'update', subresource, build });
      } catch (error) {
        if (error !== unchanged) throw error;
      }
    },
    async delete(kind: Kind, { namespace = '', name }) {
      await deleteObject(systemCall(core, kind as AnyKind, 'delete', namespace, name), namespace, name, {});
    },
  };
}
