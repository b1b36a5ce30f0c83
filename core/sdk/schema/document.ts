/** The document of a custom kind: its schema with what every resource has, in the dialect that clients ask for. */
type Json = Record<string, unknown>;
const metadataType = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function documentOf(raw: Json, gvk: { group: string; version: string; kind: string }, dialect: 2 | 3): Json {
  const schema = dialect === 3 ? raw : { ...forV2(raw), 'x-kubernetes-preserve-unknown-fields': undefined }; // kubectl's checks stop at an open root
  const reference = { $ref: `${dialect === 3 ? '#/components/schemas/' : '#/definitions/'}${metadataType}` };
  const properties = {
    ...(isObject(schema['properties']) ? schema['properties'] : {}),
    apiVersion: { type: 'string', description: 'APIVersion defines the group and version of this form of the object.' },
    kind: { type: 'string', description: 'What sort of object this is.' },
    metadata:
      dialect === 3
        ? { allOf: [reference], description: "Standard object's metadata: names, labels, owners and versions." }
        : reference,
  };
  return { ...schema, type: 'object', properties, 'x-kubernetes-group-version-kind': [gvk] };
}

/** What the older dialect has no word for is left out; where types are mixed, so is the type. */
const dropped = new Set(['oneOf', 'anyOf', 'not', 'nullable', 'allOf']);
function forV2(schema: Json): Json {
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true;
  const result: Json = {};
  for (const [key, value] of Object.entries(schema)) {
    if (dropped.has(key)) continue;
    if (key === 'properties' && isObject(value)) {
      if (schema['nullable'] === true || open) continue;
      result[key] = Object.fromEntries(
        Object.entries(value).map(([name, inner]) => [name, isObject(inner) ? forV2(inner) : inner]),
      );
    } else if ((key === 'items' || key === 'additionalProperties') && isObject(value)) {
      if (schema['nullable'] === true) continue;
      result[key] = forV2(value);
    } else if (key === 'type' && (schema['nullable'] === true || schema['x-kubernetes-int-or-string'] === true))
      continue;
    else result[key] = value;
  }
  return result;
}
