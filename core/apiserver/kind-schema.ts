import type { Field, FieldError } from '#api';
import type { JsonObject, ServedKind } from './contract.ts';
import type { Core } from './core.ts';

/** One face for both sorts of kinds: those of the facts table and those that bring their own schema. */

const metadataType = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';

/** Types of fields, unknown fields, nulls; in place. */
export function decodeKind(
  { schema }: Pick<Core, 'schema'>,
  served: ServedKind,
  object: JsonObject,
): { unknown: string[]; errors: FieldError[] } {
  if (!served.schema)
    return schema?.has(served.kind.type) ? schema.decode(served.kind.type, object) : { unknown: [], errors: [] };
  const metadata = object['metadata'];
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
    return { unknown: [], errors: [{ type: 'FieldValueTypeInvalid', field: 'metadata', message: noMetadata }] };
  const inside = schema?.decode(metadataType, metadata as JsonObject) ?? { unknown: [], errors: [] };
  served.schema.applyDefaults(object);
  return {
    unknown: [...served.schema.prune(object), ...inside.unknown.map((path) => `metadata.${path}`)],
    errors: inside.errors,
  };
}
const noMetadata = 'metadata must be an object';

export function applyKindDefaults({ schema }: Pick<Core, 'schema'>, served: ServedKind, object: JsonObject): void {
  if (served.schema) served.schema.applyDefaults(object);
  else schema?.default(served.kind.type, object);
}

/** How patches and managedFields see the kind. */
export const patchTypeOf = (served: ServedKind): string | Field => served.schema?.owned ?? served.kind.type;
