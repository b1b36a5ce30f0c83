import { type Facts, type Field, facts, type TypeFacts } from '#api';
import { describeField, describeType } from './descriptions.ts';

export type Schema = Record<string, unknown>;
export interface Dialect {
  /** `#/components/schemas/` or `#/definitions/`. */
  readonly prefix: string;
  /** OpenAPI 3 keeps defaults and siblings of a reference by wrapping it in allOf. */
  readonly version: 2 | 3;
}

const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const quantity = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
const intOrString = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';
/** Types that are no objects in JSON; the facts table holds them as scalars. */
const scalars: Readonly<Record<string, Schema>> = {
  [quantity]: { type: 'string', description: 'An amount such as 250m or 64Mi.' },
  [intOrString]: { type: 'string', format: 'int-or-string', description: 'A number or a name.' },
  [`${meta}.Time`]: { type: 'string', format: 'date-time', description: 'A moment, RFC 3339.' },
  [`${meta}.MicroTime`]: { type: 'string', format: 'date-time', description: 'A moment to the microsecond, RFC 3339.' },
};

export function fieldSchema(field: Field, dialect: Dialect, refs: Set<string>, isProperty = false): Schema {
  const pointer = (id: string): Schema => {
    refs.add(id);
    return { $ref: dialect.prefix + id };
  };
  const reference = (id: string): Schema => {
    return dialect.version === 3 && (isProperty || field.default !== undefined)
      ? { allOf: [pointer(id)] }
      : pointer(id);
  };
  const base = ((): Schema => {
    switch (field.type) {
      case 'ref':
        return reference(field.ref!);
      case 'quantity':
        return reference(quantity);
      case 'int-or-string':
        return reference(intOrString);
      case 'array':
        return { type: 'array', items: fieldSchema(field.items!, dialect, refs) };
      case 'map':
        return { type: 'object', additionalProperties: fieldSchema(field.items!, dialect, refs) };
      case 'any':
      case 'object':
        return { type: 'object' };
      default:
        if (field.format === 'date-time') return reference(`${meta}.Time`);
        if (field.format === 'micro-time') return reference(`${meta}.MicroTime`);
        return { type: field.type, format: field.format };
    }
  })();
  if (dialect.version === 2 && base['$ref']) return base;
  return {
    ...base,
    default: field.default,
    enum: field.enum,
    'x-kubernetes-list-type': field.listType,
    'x-kubernetes-list-map-keys': field.listMapKeys,
    'x-kubernetes-patch-merge-key': field.mergeKey,
    'x-kubernetes-patch-strategy': field.patchStrategy,
    'x-kubernetes-map-type': field.mapType,
  };
}

function typeSchema(id: string, type: TypeFacts, dialect: Dialect, refs: Set<string>): Schema {
  const properties: Schema = {};
  for (const [name, field] of Object.entries(type.fields)) {
    const description = describeField(id, name);
    const schema = fieldSchema(field, dialect, refs, true);
    properties[name] = description ? { ...schema, description } : schema;
  }
  return {
    description: describeType(id),
    type: 'object',
    properties: type.open ? undefined : properties,
    required: type.required,
    'x-kubernetes-group-version-kind': type.gvk ? [type.gvk] : undefined,
    'x-kubernetes-map-type': type.mapType,
  };
}

/** The schemas of the given types and of all that they refer to, one at a time. */
export function* schemaEntries(
  roots: Iterable<string>,
  dialect: Dialect,
  table: Facts = facts(),
): Generator<[id: string, schema: Schema]> {
  const seen = new Set<string>();
  const waiting = [...roots];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const type = table.types[id];
    const refs = new Set<string>();
    yield [
      id,
      type
        ? typeSchema(id, type, dialect, refs)
        : (scalars[id] ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }),
    ];
    waiting.push(...refs);
  }
}
