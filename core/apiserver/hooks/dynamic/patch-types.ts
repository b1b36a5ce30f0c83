import { cel } from '#sdk';

/** What expressions of mutating policies make: `Object{…}` with its parts, and lists of `JSONPatch{…}`. */

const { celTypes: t, method } = cel;
type ObjectType = Extract<cel.celTypes.Type, { k: 'object' }>;

/** Whatever its name: which fields there are is told when the patch is laid over the object. */
const anyField = { get: () => t.dyn, has: () => true } as unknown as ObjectType['fields'];
const jsonPatch: ObjectType = {
  k: 'object',
  name: 'JSONPatch',
  fields: new Map<string, cel.celTypes.Type>([
    ['op', t.string],
    ['path', t.string],
    ['from', t.string],
    ['value', t.dyn],
  ]),
};
export const patchStructs = (name: string): ObjectType | undefined => {
  if (name === 'JSONPatch') return jsonPatch;
  return name === 'Object' || name.startsWith('Object.') ? { k: 'object', name, fields: anyField } : undefined;
};

const namespaceType = t.opaque('jsonpatch');
/** `jsonpatch.escapeKey('a/b')`: called on a name as if it were a value. */
export const jsonPatchName = { type: namespaceType, value: new cel.CelOpaque('jsonpatch', undefined, '') };
export const patchLibrary: readonly cel.Overload[] = [
  method('escapeKey', [namespaceType, t.string], t.string, (_of: unknown, key: string) =>
    key.replaceAll('~', '~0').replaceAll('/', '~1'),
  ),
];

/** What an expression made, as JSON. */
export function jsonOf(value: cel.Value): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof cel.CelDouble) return value.value;
  if (value instanceof cel.CelUint) return Number(value.value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof cel.CelOptional) return value.value === undefined ? null : jsonOf(value.value);
  if (Array.isArray(value)) return value.map((one: cel.Value) => jsonOf(one));
  if (!cel.isMap(value)) throw cel.failure('a value that JSON does not know');
  return Object.fromEntries([...cel.entriesOf(value)].map(([key, inner]) => [String(key), jsonOf(inner)]));
}
