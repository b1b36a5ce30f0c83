import type { KubeObject } from '#api';

type Json = Readonly<Record<string, unknown>>;
interface Version {
  readonly name: string;
  readonly served?: boolean;
  readonly storage?: boolean;
  readonly schema?: { readonly openAPIV3Schema?: Json };
}
export type DefinitionObject = KubeObject & {
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly Version[];
  };
  readonly status?: { readonly storedVersions?: readonly string[] };
};
export const storageVersion = ({ spec }: Pick<DefinitionObject, 'spec'>): Version | undefined =>
  spec.versions.find(({ storage }) => storage);
export const schemaOf = (version: Version | undefined): Json =>
  version?.schema?.openAPIV3Schema ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/**
 * What of a new definition breaks objects or programs that were made for the former one, each with its path; none when
 * it is compatible. `wasStored` are versions of which objects may be stored. Pure.
 */
export function breakingChanges(
  former: DefinitionObject,
  next: DefinitionObject,
  wasStored: readonly string[] = former.status?.storedVersions ?? former.spec.versions.map(({ name }) => name),
): string[] {
  const found: string[] = [];
  if (former.spec.scope !== next.spec.scope)
    found.push(`scope changes from ${former.spec.scope} to ${next.spec.scope}`);
  if (former.spec.names.kind !== next.spec.names.kind)
    found.push(`kind changes from ${former.spec.names.kind} to ${next.spec.names.kind}`);
  for (const name of wasStored)
    if (!next.spec.versions.some((one) => one.name === name)) found.push(`stored version ${name} is removed`);
  for (const before of former.spec.versions) {
    const after = next.spec.versions.find(({ name }) => name === before.name);
    if (after) compare(schemaOf(before), schemaOf(after), `${before.name}:`, found);
    else if (before.served !== false && !wasStored.includes(before.name))
      found.push(`served version ${before.name} is removed`);
  }
  return found;
}

const lowerBounds = ['minimum', 'minLength', 'minItems', 'minProperties'] as const;
const upperBounds = ['maximum', 'maxLength', 'maxItems', 'maxProperties'] as const;
/** Added or changed, each of these refuses what was good before. */
const fixed = [
  'pattern',
  'format',
  'multipleOf',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'uniqueItems',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-int-or-string',
  'x-kubernetes-embedded-resource',
] as const;
const said = (value: unknown): string => (value === undefined ? 'none' : JSON.stringify(value));

function compare(before: Json, after: Json, path: string, found: string[]): void {
  const say = (what: string): void => void found.push(`${path} ${what}`);
  if (before['type'] !== after['type']) {
    say(`type changes from ${said(before['type'])} to ${said(after['type'])}`);
    return;
  }
  if ('default' in before && !Bun.deepEquals(before['default'], after['default']))
    say(`default changes from ${said(before['default'])} to ${said(after['default'])}`);
  compareBounds(before, after, say);
  const former = before['enum'] as readonly unknown[] | undefined;
  const allowed = after['enum'] as readonly unknown[] | undefined;
  if (allowed && !former) say(`enum ${said(allowed)} is new`);
  for (const value of former ?? [])
    if (allowed && !allowed.includes(value)) say(`enum value ${said(value)} is removed`);
  if (before['nullable'] === true && after['nullable'] !== true) say('is nullable no more');
  compareFields(before, after, path, found);
  if (isJson(before['items']) && isJson(after['items'])) compare(before['items'], after['items'], `${path}[]`, found);
}

function compareBounds(before: Json, after: Json, say: (what: string) => void): void {
  const changes = (name: string): string => `${name} changes from ${said(before[name])} to ${said(after[name])}`;
  for (const name of lowerBounds) {
    const bound = after[name] as number | undefined;
    if (bound !== undefined && bound > ((before[name] as number | undefined) ?? (name === 'minimum' ? -Infinity : 0)))
      say(changes(name));
  }
  for (const name of upperBounds) {
    const bound = after[name] as number | undefined;
    if (bound !== undefined && bound < ((before[name] as number | undefined) ?? Infinity)) say(changes(name));
  }
  for (const name of fixed) {
    if (Bun.deepEquals(before[name], after[name])) continue;
    const onlyLoosens = after[name] === undefined && !name.startsWith('x-');
    if (!onlyLoosens) say(changes(name));
  }
}

function compareFields(before: Json, after: Json, path: string, found: string[]): void {
  const formerFields = (before['properties'] ?? {}) as Readonly<Record<string, Json>>;
  const fields = (after['properties'] ?? {}) as Readonly<Record<string, Json>>;
  const formerValues = before['additionalProperties'];
  const values = after['additionalProperties'];
  const wasOpen = before['x-kubernetes-preserve-unknown-fields'] === true;
  const isOpen = after['x-kubernetes-preserve-unknown-fields'] === true;
  if (wasOpen && !isOpen) found.push(`${path} unknown fields are kept no more`);
  if (formerValues && !values && !isOpen) found.push(`${path} arbitrary keys are removed`);
  if (isJson(formerValues) && isJson(values)) compare(formerValues, values, `${path}.*`, found);
  for (const [name, field] of Object.entries(formerFields)) {
    const next = fields[name];
    if (next) compare(field, next, `${path}.${name}`, found);
    else if (!isOpen && !values) found.push(`${path}.${name} is removed`);
  }
  const wasRequired = new Set((before['required'] ?? []) as readonly string[]);
  for (const name of (after['required'] ?? []) as readonly string[])
    if (!wasRequired.has(name) && fields[name]?.['default'] === undefined)
      found.push(`${path}.${name} is required now`);
}
const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
