import { schemas } from '#sdk';
import { Mistakes } from './mistakes.ts';

type Json = Record<string, unknown>;
type Level = 'root' | 'field' | 'item';
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const childrenOf = (schema: Json, name: string): [string, Json][] =>
  isObject(schema[name])
    ? Object.entries(schema[name]).filter((entry): entry is [string, Json] => isObject(entry[1]))
    : [];
const listOf = (schema: Json, name: string): Json[] =>
  Array.isArray(schema[name]) ? schema[name].filter(isObject) : [];

/** What makes a schema structural: every field has one type, said outside of the junctors. In upstream's order: by text. */
export function checkStructure(schema: Json, path: string): schemasMistakes {
  const mistakes = new Mistakes();
  checkNode(schema, 'root', path, mistakes);
  if (mistakes.list.length === 0) checkComplete(schema, schema, path, mistakes);
  return mistakes.list.sort((a, b) => (`${a.field}: ${a.message}` < `${b.field}: ${b.message}` ? -1 : 1));
}
type schemasMistakes = Mistakes['list'];

function checkNode(schema: Json, level: Level, path: string, mistakes: Mistakes): void {
  const type = typeof schema['type'] === 'string' ? schema['type'] : '';
  const embedded = schema['x-kubernetes-embedded-resource'] === true;
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true;
  const mixed = schema['x-kubernetes-int-or-string'] === true;
  if (type === 'array' && schema['items'] === undefined) mistakes.required(`${path}.items`, 'must be specified');
  if (isObject(schema['items'])) checkNode(schema['items'], 'item', `${path}.items`, mistakes);
  for (const [name, inner] of childrenOf(schema, 'properties'))
    checkNode(inner, 'field', `${path}.properties[${name}]`, mistakes);
  const additional = schema['additionalProperties'];
  if (additional !== undefined && level === 'root')
    mistakes.forbidden(`${path}.additionalProperties`, 'must not be used at the root');
  if (isObject(additional)) checkNode(additional, 'field', `${path}.additionalProperties`, mistakes);
  if (mixed && open)
    mistakes.invalid(
      `${path}.x-kubernetes-preserve-unknown-fields`,
      true,
      'must be false if x-kubernetes-int-or-string is true',
    );
  if (mixed && embedded)
    mistakes.invalid(
      `${path}.x-kubernetes-embedded-resource`,
      true,
      'must be false if x-kubernetes-int-or-string is true',
    );
  const anyOfIsPattern = isIntOrString(schema['anyOf']);
  const allOfIsPattern = isIntOrString(listOf(schema, 'allOf')[0]?.['anyOf']);
  checkJunctors(schema, mixed && anyOfIsPattern ? 'anyOf' : mixed && allOfIsPattern ? 'allOf' : '', path, mistakes);
  checkTypes(schema, { type, embedded, open, mixed, level }, path, mistakes);
  checkResource(schema, level, embedded, path, mistakes);
  if (embedded && additional !== undefined)
    mistakes.forbidden(`${path}.additionalProperties`, 'must not be used if x-kubernetes-embedded-resource is set');
  if (embedded && !open && childrenOf(schema, 'properties').length === 0)
    mistakes.required(
      `${path}.properties`,
      'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
    );
}

const isIntOrString = (value: unknown): boolean =>
  Bun.deepEquals(value, [{ type: 'integer' }, { type: 'string' }], false);

interface Facts {
  readonly type: string;
  readonly embedded: boolean;
  readonly open: boolean;
  readonly mixed: boolean;
  readonly level: Level;
}
const untyped: Readonly<Record<Level, string>> = {
  root: 'must not be empty at the root',
  item: 'must not be empty for specified array items',
  field: 'must not be empty for specified object fields',
};
function checkTypes(
  _schema: Json,
  { type, embedded, open, mixed, level }: Facts,
  path: string,
  mistakes: Mistakes,
): void {
  const mustBeObject = 'must be object if x-kubernetes-embedded-resource is true';
  if (embedded && type !== 'object') {
    if (type) mistakes.invalid(`${path}.type`, type, mustBeObject);
    else mistakes.required(`${path}.type`, mustBeObject);
  } else if (!type && !mixed && !open) mistakes.required(`${path}.type`, untyped[level]);
  if (level === 'root' && type && type !== 'object')
    mistakes.invalid(`${path}.type`, type, 'must be object at the root');
}

function checkResource(schema: Json, level: Level, embedded: boolean, path: string, mistakes: Mistakes): void {
  if (level !== 'root' && !embedded) return;
  const properties = new Map(childrenOf(schema, 'properties'));
  for (const name of ['kind', 'apiVersion'])
    if (properties.has(name) && properties.get(name)!['type'] !== 'string')
      mistakes.invalid(`${path}.properties[${name}].type`, properties.get(name)!['type'] ?? '', 'must be string');
  const metadata = properties.get('metadata');
  if (!metadata) return;
  const at = `${path}.properties[metadata]`;
  if (metadata['type'] !== 'object') mistakes.invalid(`${at}.type`, metadata['type'] ?? '', 'must be object');
  if (level !== 'root') return;
  const allowed = new Set(['type', 'description', 'properties', 'maxLength', 'required']);
  const strange = Object.keys(metadata).some((key) => !allowed.has(key));
  const names = childrenOf(metadata, 'properties').map(([name]) => name);
  if (
    (strange &&
      [
        'default',
        'nullable',
        'title',
        'x-kubernetes-preserve-unknown-fields',
        'x-kubernetes-embedded-resource',
        'x-kubernetes-int-or-string',
        'additionalProperties',
        'items',
        'x-kubernetes-validations',
      ].some((key) => metadata[key] !== undefined && key !== 'default')) ||
    names.some((name) => name !== 'name' && name !== 'generateName')
  )
    mistakes.forbidden(
      at,
      'must not specify anything other than name and generateName, but metadata is implicitly specified',
    );
}

const nestedForbidden: readonly (readonly [string, string])[] = [
  ['type', 'must be empty to be structural'],
  ['additionalProperties', 'must be undefined to be structural'],
  ['default', 'must be undefined to be structural'],
  ['title', 'must be empty to be structural'],
  ['description', 'must be empty to be structural'],
  ['nullable', 'must be false to be structural'],
  ['x-kubernetes-preserve-unknown-fields', 'must be false to be structural'],
  ['x-kubernetes-embedded-resource', 'must be false to be structural'],
  ['x-kubernetes-int-or-string', 'must be false to be structural'],
  ['x-kubernetes-list-map-keys', 'must be empty to be structural'],
  ['x-kubernetes-list-type', 'must be undefined to be structural'],
  ['x-kubernetes-map-type', 'must be undefined to be structural'],
  ['x-kubernetes-validations', 'must be empty to be structural'],
];
const isSet = (value: unknown): boolean =>
  value !== undefined &&
  value !== null &&
  value !== '' &&
  value !== false &&
  !(Array.isArray(value) && value.length === 0);

function checkJunctors(schema: Json, pattern: '' | 'anyOf' | 'allOf', path: string, mistakes: Mistakes): void {
  for (const junctor of ['anyOf', 'allOf', 'oneOf'] as const) {
    if (junctor === 'anyOf' && pattern === 'anyOf') continue;
    for (const [index, inner] of listOf(schema, junctor).entries())
      checkNested(
        inner,
        junctor === 'allOf' && index === 0 && pattern === 'allOf',
        `${path}.${junctor}[${index}]`,
        mistakes,
      );
  }
  if (isObject(schema['not'])) checkNested(schema['not'], false, `${path}.not`, mistakes);
  const { pattern: text } = schema;
  if (typeof text !== 'string' || text === '') return;
  const wrong = schemas.patternMistake(text);
  if (wrong) mistakes.invalid(`${path}.pattern`, text, `must be a valid regular expression, but isn't: ${wrong}`);
}

function checkNested(schema: Json, skipAnyOf: boolean, path: string, mistakes: Mistakes): void {
  checkJunctors(schema, skipAnyOf ? 'anyOf' : '', path, mistakes);
  if (isObject(schema['items'])) checkNested(schema['items'], false, `${path}.items`, mistakes);
  for (const [name, inner] of childrenOf(schema, 'properties'))
    checkNested(inner, false, `${path}.properties[${name}]`, mistakes);
  for (const [name, why] of nestedForbidden) if (isSet(schema[name])) mistakes.forbidden(`${path}.${name}`, why);
  if (childrenOf(schema, 'properties').some(([name]) => name === 'metadata'))
    mistakes.forbidden(`${path}.properties[metadata]`, 'must not be specified in a nested context');
}

/** Whatever a junctor speaks of is also said outside of it. */
function checkComplete(schema: Json, spine: Json, path: string, mistakes: Mistakes): void {
  for (const junctor of ['allOf', 'anyOf', 'oneOf'] as const)
    for (const [index, inner] of listOf(schema, junctor).entries())
      completeNested(inner, spine, path, `${path}.${junctor}[${index}]`, mistakes);
  if (isObject(schema['not'])) completeNested(schema['not'], spine, path, `${path}.not`, mistakes);
  if (isObject(schema['items'])) checkComplete(schema['items'], schema['items'], `${path}.items`, mistakes);
  for (const [name, inner] of childrenOf(schema, 'properties'))
    checkComplete(inner, inner, `${path}.properties[${name}]`, mistakes);
  if (isObject(schema['additionalProperties']))
    checkComplete(
      schema['additionalProperties'],
      schema['additionalProperties'],
      `${path}.additionalProperties`,
      mistakes,
    );
}
function completeNested(nested: Json, spine: Json, spinePath: string, path: string, mistakes: Mistakes): void {
  for (const junctor of ['allOf', 'anyOf', 'oneOf'] as const)
    for (const [index, inner] of listOf(nested, junctor).entries())
      completeNested(inner, spine, spinePath, `${path}.${junctor}[${index}]`, mistakes);
  if (isObject(nested['not'])) completeNested(nested['not'], spine, spinePath, `${path}.not`, mistakes);
  const because = `because it is defined in ${path}`;
  if (isObject(nested['items'])) {
    if (isObject(spine['items']))
      completeNested(nested['items'], spine['items'], `${spinePath}.items`, `${path}.items`, mistakes);
    else mistakes.required(`${spinePath}.items`, `${because}.items`);
  }
  for (const [name, inner] of childrenOf(nested, 'properties')) {
    const own = childrenOf(spine, 'properties').find(([other]) => other === name)?.[1];
    const at = `${path}.properties[${name}]`;
    if (own) completeNested(inner, own, `${spinePath}.properties[${name}]`, at, mistakes);
    else if (isObject(spine['additionalProperties']))
      completeNested(inner, spine['additionalProperties'], `${spinePath}.additionalProperties`, at, mistakes);
    else mistakes.required(`${spinePath}.properties[${name}]`, `${because}.properties[${name}]`);
  }
}
