import type { Field } from '../../api/index.ts';
import type { SchemaNode } from './node.ts';

const objectMeta: Field = { type: 'ref', ref: 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' };
/** What nobody has declared is taken as it looks: objects part by part, lists as one piece. */
const deduced: Field = {
  type: 'map',
  omitZero: true,
  get items(): Field {
    return deduced;
  },
};

const made = new WeakMap<SchemaNode, Field>();
/** A schema as server-side apply sees it: which parts are owned one by one. */
export function ownedFields(schema: SchemaNode, isRoot = false): Field {
  const known = made.get(schema);
  if (known) return known;
  const field = fieldOf(schema, isRoot || schema.embedded);
  made.set(schema, field);
  return field;
}

function fieldOf(schema: SchemaNode, isResource: boolean): Field {
  const { type, listType, listMapKeys, mapType } = schema;
  const rest = { default: schema.default, listType, listMapKeys, mapType, omitZero: true };
  if (type === 'array')
    return { type: 'array', items: schema.items ? ownedFields(schema.items) : { type: 'any' }, ...rest };
  if (type !== 'object') return schema.preserveUnknown && type === '' ? deduced : { type: 'any', ...rest };
  if (typeof schema.additional === 'object') return { type: 'map', items: ownedFields(schema.additional), ...rest };
  const fields = Object.fromEntries([...(schema.properties ?? [])].map(([name, inner]) => [name, ownedFields(inner)]));
  if (isResource)
    Object.assign(fields, { apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: objectMeta });
  return {
    type: 'struct',
    fields,
    ...(schema.preserveUnknown || schema.additional === true ? { rest: deduced } : {}),
    ...rest,
  };
}
