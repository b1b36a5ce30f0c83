import { CelDouble, CelDuration, CelKeyedList, CelTimestamp, type celTypes, type Value } from '../cel/index.ts';
import { parseGoDuration, parseTimestamp } from '../cel/library/conversions.ts';
import * as t from '../cel/types.ts';
import { isObject, type SchemaNode } from './node.ts';

type Type = celTypes.Type;
/** A request is at most 3 MiB: so much is the most that any part of an object can be. */
export const requestBytesMax = 3 * 1024 * 1024;
const reserved = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** How expressions name a field; undefined: they cannot. */
export function escapedName(name: string): string | undefined {
  if (!/^[A-Za-z_./-][\w./-]*$/.test(name)) return undefined;
  if (reserved.has(name)) return `__${name}__`;
  return name.replace(
    /__|\.|-|\//g,
    (part) => ({ __: '__underscores__', '.': '__dot__', '-': '__dash__', '/': '__slash__' })[part]!,
  );
}

export interface RuleType {
  readonly type: Type;
  /** The fewest bytes that such a value takes in JSON. */
  readonly bytesMin: number;
}
const textBytesMin = 2;
const limited = (most: number | undefined): number | undefined => (most === undefined ? undefined : Math.max(0, most));
/** In bytes: a character may take four. */
const textMax = (schema: SchemaNode): number => {
  if (schema.maxLength !== undefined) return Math.max(0, schema.maxLength) * 4;
  if (!schema.enum?.length) return requestBytesMax - 2;
  const lengths = schema.enum.map((one) => (typeof one === 'string' ? Buffer.byteLength(one) : 0));
  return Math.max(...lengths);
};

const made = new WeakMap<SchemaNode, [inside?: RuleType | false, root?: RuleType | false]>();
/** Undefined: expressions do not see it. */
export function ruleType(schema: SchemaNode, isResource: boolean): RuleType | undefined {
  const known = made.get(schema) ?? [];
  made.set(schema, known);
  const slot = isResource ? 1 : 0;
  known[slot] ??= typeOf(schema, isResource) ?? false;
  return known[slot] || undefined;
}

function typeOf(schema: SchemaNode, isResource: boolean): RuleType | undefined {
  if (schema.intOrString) {
    const max = schema.maxLength === undefined ? requestBytesMax - 2 : Math.max(0, schema.maxLength) * 4;
    return { type: t.sized(t.dyn, max), bytesMin: 1 };
  }
  switch (schema.type) {
    case 'array': {
      const item = schema.items && ruleType(schema.items, schema.items.embedded);
      if (!item) return undefined;
      const max = limited(schema.maxItems) ?? Math.floor((requestBytesMax - 2) / (item.bytesMin + 1));
      return { type: t.list(item.type, { max }), bytesMin: 2 };
    }
    case 'object':
      return typeof schema.additional === 'object'
        ? mapType(schema, schema.additional)
        : objectType(schema, isResource);
    case 'string':
      return textType(schema);
    case 'boolean':
      return { type: t.bool, bytesMin: 4 };
    case 'number':
      return { type: t.double, bytesMin: 1 };
    case 'integer':
      return { type: t.int, bytesMin: 1 };
    default:
      return undefined;
  }
}

function mapType(schema: SchemaNode, values: SchemaNode): RuleType | undefined {
  const value = ruleType(values, values.embedded);
  if (!value) return undefined;
  const max = limited(schema.maxProperties) ?? Math.floor((requestBytesMax - 2) / (value.bytesMin + 6)); // "":, and a comma
  return { type: t.map(t.string, value.type, { max }), bytesMin: 2 };
}

function textType(schema: SchemaNode): RuleType {
  switch (schema.format) {
    case 'byte':
      return { type: t.sized(t.bytes, limited(schema.maxLength) ?? requestBytesMax - 2), bytesMin: textBytesMin };
    case 'duration':
      return { type: t.sized(t.duration, 32), bytesMin: 3 };
    case 'date':
      return { type: t.sized(t.timestamp, 12), bytesMin: 12 };
    case 'date-time':
      return { type: t.sized(t.timestamp, 32), bytesMin: 21 };
    default:
      return { type: t.sized(t.string, textMax(schema)), bytesMin: textBytesMin };
  }
}

const anyText = t.sized(t.string, requestBytesMax - 2);
const metadataType: Type = {
  k: 'object',
  name: 'metadata',
  fields: new Map([
    ['name', anyText],
    ['generateName', anyText],
  ]),
};
const objectMetadata: RuleType = { type: metadataType, bytesMin: 2 };
const anyName: RuleType = { type: anyText, bytesMin: textBytesMin };
/** Every resource has them, whatever its schema says. */
const ofResources = new Map([
  ['apiVersion', anyName],
  ['kind', anyName],
  ['metadata', objectMetadata],
]);
function objectType(schema: SchemaNode, isResource: boolean): RuleType {
  const fields = new Map<string, Type>();
  const realNames = new Map<string, string>();
  let bytesMin = 2;
  const add = (name: string, field: RuleType | undefined, hasDefault: boolean) => {
    const escaped = escapedName(name);
    if (!field) return;
    if (escaped !== undefined) {
      fields.set(escaped, field.type);
      if (escaped !== name) realNames.set(escaped, name);
    }
    if (schema.required.includes(name) && !hasDefault) bytesMin += name.length + field.bytesMin + 4;
  };
  for (const [name, property] of schema.properties ?? [])
    if (!isResource || !ofResources.has(name))
      add(name, ruleType(property, property.embedded), property.default !== undefined);
  if (isResource) for (const [name, field] of ofResources) add(name, field, false);
  return { type: { k: 'object', name: 'object', fields, realNames }, bytesMin };
}

const plainNodes = new WeakMap<SchemaNode, boolean>();
/** JSON and expressions' values are the same here: nothing has to be converted. */
function isPlain(schema: SchemaNode): boolean {
  const known = plainNodes.get(schema);
  if (known !== undefined) return known;
  const below = [
    ...(schema.properties?.values() ?? []),
    ...(schema.items ? [schema.items] : []),
    ...(typeof schema.additional === 'object' ? [schema.additional] : []),
  ];
  const special =
    schema.intOrString ||
    schema.listType === 'set' ||
    schema.listType === 'map' ||
    schema.type === 'number' ||
    /^(byte|duration|date|date-time)$/.test(schema.format);
  const plain = !special && below.every(isPlain);
  plainNodes.set(schema, plain);
  return plain;
}

/** A stored value as expressions see it. */
export function ruleValue(schema: SchemaNode, value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (isPlain(schema)) return value as Value;
  if (schema.intOrString)
    return typeof value === 'number' && !Number.isInteger(value) ? new CelDouble(value) : (value as Value);
  if (Array.isArray(value)) return listValue(schema, value);
  if (isObject(value)) {
    const additional = typeof schema.additional === 'object' ? schema.additional : undefined;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => {
        const property = schema.properties?.get(name) ?? additional;
        return [name, property ? ruleValue(property, inner) : (inner as Value)];
      }),
    );
  }
  if (typeof value === 'number') return schema.type === 'number' ? new CelDouble(value) : value;
  if (typeof value === 'bigint' && schema.type === 'number') return new CelDouble(Number(value));
  return typeof value === 'string' ? textValue(schema.format, value) : (value as Value);
}

function listValue(schema: SchemaNode, list: readonly unknown[]): Value {
  const values = schema.items ? list.map((one) => ruleValue(schema.items!, one)) : (list as readonly Value[]);
  if (schema.listType === 'set') return CelKeyedList.made(values);
  return schema.listType === 'map' ? CelKeyedList.made(values, schema.listMapKeys) : values;
}

function textValue(format: string, text: string): Value {
  switch (format) {
    case 'byte':
      return new Uint8Array(Buffer.from(text, 'base64'));
    case 'duration': {
      const nanos = parseGoDuration(text);
      return nanos === undefined ? text : new CelDuration(nanos);
    }
    case 'date':
    case 'date-time': {
      const nanos = parseTimestamp(format === 'date' ? `${text}T00:00:00Z` : text);
      return nanos === undefined ? text : new CelTimestamp(nanos);
    }
    default:
      return text;
  }
}
