/**
 * Makes facts.json and types.ts from the OpenAPI v3 documents of the Kubernetes Go module named in `moduleVersion`.
 * Facts only (names, types, list keys, patch keys, defaults): no upstream sentence is copied.
 * Run: bun run generate    (needs Go and its module proxy; the results are committed so that nobody else does)
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Facts, Field, TypeFacts } from '../facts.ts';
import { moduleFolder, targetFolder } from './go-modules.ts';
import { readOmitted } from './go-structs.ts';

export const moduleVersion = '1.37.1';
const documents = [
  'api__v1',
  'apis__events.k8s.io__v1',
  'apis__discovery.k8s.io__v1',
  'apis__coordination.k8s.io__v1',
  'apis__authentication.k8s.io__v1',
  'apis__authorization.k8s.io__v1',
  'apis__certificates.k8s.io__v1',
  'apis__admissionregistration.k8s.io__v1',
  'apis__apiregistration.k8s.io__v1',
  'apis__scheduling.k8s.io__v1',
  'apis__node.k8s.io__v1',
  'apis__flowcontrol.apiserver.k8s.io__v1',
  'apis__policy__v1',
  'apis__storage.k8s.io__v1',
  'apis__storagemigration.k8s.io__v1',
  'apis__networking.k8s.io__v1',
  'apis__resource.k8s.io__v1',
  'apis__rbac.authorization.k8s.io__v1',
  'apis__apiextensions.k8s.io__v1',
];
/** JSON shapes that are not objects although upstream names a type for them. */
const special: Record<string, Field> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': { type: 'quantity' },
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': { type: 'int-or-string' },
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': { type: 'string', format: 'date-time' },
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': { type: 'string', format: 'micro-time' },
  'io.k8s.apimachinery.pkg.runtime.RawExtension': { type: 'any' },
  'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1': { type: 'any' },
  'io.k8s.apimachinery.pkg.apis.meta.v1.Duration': { type: 'string' },
};

interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly $ref?: string;
  readonly allOf?: readonly Schema[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly properties?: Record<string, Schema>;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-patch-merge-key'?: string;
  readonly 'x-kubernetes-patch-strategy'?: string;
  readonly 'x-kubernetes-map-type'?: string;
  readonly 'x-kubernetes-group-version-kind'?: readonly { group: string; version: string; kind: string }[];
}

/** `names`: documents such as apis__apps__v1. */
export function readSchemas(moduleFolder: string, names: readonly string[] = documents): Map<string, Schema> {
  const schemas = new Map<string, Schema>();
  for (const name of names) {
    const path = join(moduleFolder, 'api/openapi-spec/v3', `${name}_openapi.json`);
    const document = JSON.parse(readFileSync(path, 'utf8')) as { components: { schemas: Record<string, Schema> } };
    for (const [id, schema] of Object.entries(document.components.schemas)) schemas.set(id, schema);
  }
  return schemas;
}

const refOf = (schema: Schema): string | undefined =>
  (schema.$ref ?? schema.allOf?.find((part) => part.$ref)?.$ref)?.replace('#/components/schemas/', '');

function fieldOf(schema: Schema): Field {
  const ref = refOf(schema);
  const base: Field = ref
    ? (special[ref] ?? { type: 'ref', ref })
    : schema.type === 'array'
      ? { type: 'array', items: fieldOf(schema.items ?? {}) }
      : schema.additionalProperties
        ? { type: 'map', items: fieldOf(schema.additionalProperties) }
        : { type: (schema.type ?? 'any') as Field['type'], format: schema.format };
  return {
    ...base,
    default: schema.default,
    enum: schema.enum?.length ? [...schema.enum].filter((value) => value !== '') : undefined,
    listType: schema['x-kubernetes-list-type'],
    listMapKeys: schema['x-kubernetes-list-map-keys'],
    mergeKey: schema['x-kubernetes-patch-merge-key'],
    patchStrategy: schema['x-kubernetes-patch-strategy'],
    mapType: schema['x-kubernetes-map-type'],
  };
}

/** A struct is never left out by `omitempty`; everything else that is no pointer is. */
const omitsZero = (field: Field): boolean => field.type !== 'ref' && field.type !== 'any' && field.type !== 'quantity';

export function factsOf(schemas: Map<string, Schema>, omitted: (id: string) => ReadonlySet<string>): Facts {
  const types: Record<string, TypeFacts> = {};
  for (const id of [...schemas.keys()].sort()) {
    const schema = schemas.get(id)!;
    if (special[id]) continue;
    const fields: Record<string, Field> = {};
    const left = omitted(id);
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      const field = fieldOf(property);
      fields[name] = left.has(name) && omitsZero(field) ? { ...field, omitZero: true } : field;
    }
    types[id] = {
      fields,
      required: schema.required?.length ? schema.required : undefined,
      open: schema.properties ? undefined : true,
      mapType: schema['x-kubernetes-map-type'],
      gvk:
        schema['x-kubernetes-group-version-kind']?.length === 1
          ? schema['x-kubernetes-group-version-kind'][0]
          : undefined,
    };
  }
  return { version: moduleVersion, types };
}

/** Short TypeScript names; a name that two groups share gets its group in front, except in core and meta. */
export function shortNames(ids: readonly string[]): Map<string, string> {
  const byShort = new Map<string, string[]>();
  for (const id of ids) {
    const short = id.slice(id.lastIndexOf('.') + 1);
    byShort.set(short, [...(byShort.get(short) ?? []), id]);
  }
  const names = new Map<string, string>();
  for (const [short, owners] of byShort) {
    for (const id of owners) {
      const group = id.split('.').at(-3)!;
      const plain = owners.length === 1 || group === 'core' || group === 'meta';
      names.set(id, plain ? short : group[0]!.toUpperCase() + group.slice(1) + short);
    }
  }
  return names;
}

function typeText(field: Field, names: Map<string, string>): string {
  if (field.enum) return field.enum.map((value) => `'${value}'`).join(' | ');
  switch (field.type) {
    case 'ref':
      return names.get(field.ref!) ?? 'unknown';
    case 'array':
      return field.items?.enum ? `(${typeText(field.items, names)})[]` : `${typeText(field.items!, names)}[]`;
    case 'map':
      return `Record<string, ${typeText(field.items!, names)}>`;
    case 'integer':
    case 'number':
      return 'number';
    case 'int-or-string':
      return 'number | string';
    case 'quantity':
      return 'Quantity';
    case 'string':
      return 'string';
    case 'boolean':
      return 'boolean';
    default:
      return 'unknown';
  }
}

/** Interfaces of the types that `isOwn` takes; names of the others come from where `header` imports them. */
export function interfaces(facts: Facts, isOwn: (id: string) => boolean): string[] {
  const names = shortNames(Object.keys(facts.types));
  const lines: string[] = [];
  for (const [id, type] of Object.entries(facts.types)) {
    if (!isOwn(id)) continue;
    const name = names.get(id)!;
    if (type.open) {
      lines.push(`export type ${name} = Record<string, unknown>;`, '');
      continue;
    }
    lines.push(`export interface ${name} {`);
    for (const [field, facts_] of Object.entries(type.fields)) {
      const required = type.required?.includes(field) || (field === 'metadata' && type.gvk);
      const key = /^[a-zA-Z_$][\w$]*$/.test(field) ? field : `'${field}'`;
      lines.push(`  ${key}${required ? '' : '?'}: ${typeText(facts_, names)};`);
    }
    lines.push('}', '');
  }
  return lines;
}

const typesText = (facts: Facts): string =>
  [
    `// Generated by core/api/gen/generate.ts from Kubernetes ${facts.version}. Do not edit.`,
    '/** Decimal or binary quantity as text, such as 250m or 64Mi; numbers are accepted on input. */',
    'export type Quantity = string;',
    '',
    ...interfaces(facts, () => true),
  ].join('\n');

/** facts.json: a line for each type. */
export const factsText = (version: string, types: Facts['types']): string =>
  `{"version":"${version}","types":{\n${Object.entries(types)
    .map(([id, type]) => `${JSON.stringify(id)}:${JSON.stringify(type)}`)
    .join(',\n')}\n}}\n`;

if (import.meta.main) {
  const staging = `v0.${moduleVersion.slice(2)}`;
  const omitted = readOmitted(
    moduleFolder(`k8s.io/api@${staging}`),
    moduleFolder(`k8s.io/apimachinery@${staging}`),
    moduleFolder(`k8s.io/apiextensions-apiserver@${staging}`),
  );
  const facts = factsOf(readSchemas(moduleFolder(`k8s.io/kubernetes@v${moduleVersion}`)), omitted);
  writeFileSync(join(targetFolder(import.meta.dir), 'facts.json'), factsText(facts.version, facts.types));
  writeFileSync(join(targetFolder(import.meta.dir), 'types.ts'), typesText(facts));
  console.log(`${Object.keys(facts.types).length} types`);
}
