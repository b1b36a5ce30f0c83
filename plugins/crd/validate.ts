import { type FieldError, schemas } from '#sdk';
import type { Definition, Version } from './kind.ts';
import { isTrue } from './kind.ts';
import { Mistakes, subdomainMistakes } from './mistakes.ts';
import { checkConversion } from './validate-conversion.ts';
import { checkSchema } from './validate-schema.ts';

type Json = Record<string, unknown>;
const columnTypes = ['boolean', 'date', 'integer', 'number', 'string'];
const columnFormats = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];
const selectableMax = 8;

/** Everything about a definition beside its metadata; `current` is the stored one. */
export function validateDefinition(next: Readonly<Definition>, current?: Readonly<Definition>): FieldError[] {
  const mistakes = new Mistakes();
  const { spec } = next;
  if (!current && next.metadata.name !== `${spec.names.plural}.${spec.group}`)
    mistakes.invalid('metadata.name', next.metadata.name, 'must be spec.names.plural+"."+spec.group');
  checkSpec(next, current, mistakes);
  if (current) checkImmutable(spec, current, mistakes);
  checkNames(next.status?.acceptedNames, 'status.acceptedNames', mistakes);
  checkStoredVersions(next, mistakes);
  checkApproval(next, current, mistakes);
  if (spec.preserveUnknownFields && !current?.spec.preserveUnknownFields)
    mistakes.invalid(
      'spec.preserveUnknownFields',
      true,
      'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
    );
  return mistakes.list;
}

function checkSpec(
  { spec }: Readonly<Definition>,
  current: Readonly<Definition> | undefined,
  mistakes: Mistakes,
): void {
  if (!spec.group) mistakes.required('spec.group');
  else if (subdomainMistakes(spec.group).length > 0)
    mistakes.invalid('spec.group', spec.group, subdomainMistakes(spec.group).join(','));
  else if (!spec.group.includes('.'))
    mistakes.invalid('spec.group', spec.group, 'should be a domain with at least one dot');
  mistakes.oneOf('spec.scope', spec.scope, ['Cluster', 'Namespaced']);
  const versions = spec.versions ?? [];
  for (const [index, version] of versions.entries())
    if (!version.schema?.openAPIV3Schema) mistakes.required(`spec.versions[${index}].schema.openAPIV3Schema`);
  const shared = sharedParts(versions);
  for (const [index, version] of versions.entries()) {
    const path = `spec.versions[${index}]`;
    mistakes.label(`${path}.name`, version.name);
    if (!version.name) mistakes.label(`${path}.name`, ' ');
    checkDeprecation(version, path, mistakes);
    if (!shared.schema)
      checkVersionSchema(version, current, version.subresources?.status !== undefined, `${path}.schema`, mistakes);
    if (!shared.subresources) checkScale(version, `${path}.subresources`, mistakes);
    if (!shared.columns) checkColumns(version, path, mistakes);
    if (!shared.selectable) checkSelectable(version, `${path}.selectableFields`, mistakes);
  }
  if (versions[0]?.name) mistakes.label('spec.version', versions[0].name); // upstream keeps the first one's name there
  const names = versions.map(({ name }) => name);
  if (new Set(names).size < names.length)
    mistakes.invalid('spec.versions', versions, 'must contain unique version names');
  if (versions.filter(({ storage }) => storage).length !== 1)
    mistakes.invalid('spec.versions', versions, 'must have exactly one version marked as storage version');
  for (const name of ['plural', 'singular', 'kind', 'listKind'] as const)
    if (!spec.names[name]) mistakes.required(`spec.names.${name}`);
  checkNames(spec.names, 'spec.names', mistakes);
  if (versions[0]) checkShared(versions[0], shared, versions, current, mistakes);
  checkConversion(spec.conversion, spec.preserveUnknownFields === true, mistakes);
}

interface Shared {
  readonly schema: boolean;
  readonly subresources: boolean;
  readonly columns: boolean;
  readonly selectable: boolean;
}
/** What all versions have in common is told once, at the paths where upstream keeps it inside. */
function sharedParts(versions: readonly Version[]): Shared {
  const isShared = (part: (version: Version) => unknown) =>
    versions.every((version) => Bun.deepEquals(part(version), part(versions[0]!), false));
  return {
    schema: isShared(({ schema }) => schema),
    subresources: isShared(({ subresources }) => subresources),
    columns: isShared(({ additionalPrinterColumns }) => additionalPrinterColumns),
    selectable: isShared(({ selectableFields }) => selectableFields),
  };
}
function checkShared(
  version: Version,
  shared: Shared,
  versions: readonly Version[],
  current: Readonly<Definition> | undefined,
  mistakes: Mistakes,
): void {
  const hasStatus = versions.some(({ subresources }) => subresources?.status !== undefined);
  if (shared.schema) checkVersionSchema(version, current, hasStatus, 'spec.validation', mistakes);
  if (shared.subresources) checkScale(version, 'spec.subresources', mistakes);
  if (shared.columns) checkColumns(version, 'spec', mistakes);
  if (shared.selectable) checkSelectable(version, 'spec.selectableFields', mistakes);
}

function checkVersionSchema(
  version: Version,
  current: Readonly<Definition> | undefined,
  hasStatus: boolean,
  path: string,
  mistakes: Mistakes,
): void {
  const schema = version.schema?.openAPIV3Schema as Json | undefined;
  if (!schema) return;
  const former = current?.spec.versions.find(({ name }) => name === version.name);
  const unchanged = former !== undefined && Bun.deepEquals(former.schema, version.schema, false);
  mistakes.list.push(...checkSchema(schema, `${path}.openAPIV3Schema`, { hasStatus, unchanged }));
}
function checkColumns(version: Version, path: string, mistakes: Mistakes): void {
  for (const [index, column] of (version.additionalPrinterColumns ?? []).entries())
    checkColumn(column, `${path}.additionalPrinterColumns[${index}]`, mistakes);
}

function checkDeprecation({ deprecated, deprecationWarning }: Version, path: string, mistakes: Mistakes): void {
  if (deprecationWarning === undefined) return;
  const at = `${path}.deprecationWarning`;
  if (!deprecated) {
    mistakes.invalid(at, deprecationWarning, 'can only be set for deprecated versions');
    return;
  }
  if (deprecationWarning.length > 256) mistakes.invalid(at, deprecationWarning, 'must be <= 256 characters long');
  if (deprecationWarning === '') mistakes.invalid(at, deprecationWarning, 'must not be an empty string');
  const strange = [...deprecationWarning].findIndex((char) => /[\p{C}]/u.test(char));
  if (strange >= 0)
    mistakes.invalid(
      at,
      deprecationWarning,
      `must only contain printable UTF-8 characters; non-printable character found at index ${strange}`,
    );
}

function checkSimplePath(text: string, path: string, mistakes: Mistakes): boolean {
  if (text.startsWith('.')) return true;
  mistakes.invalid(path, text, 'must be a simple json path starting with .');
  return false;
}
function checkScale({ subresources }: Version, path: string, mistakes: Mistakes): void {
  const scale = subresources?.scale;
  if (!scale) return;
  for (const [name, root] of [
    ['specReplicasPath', '.spec'],
    ['statusReplicasPath', '.status'],
  ] as const) {
    const at = `${path}.scale.${name}`;
    if (!scale[name]) mistakes.required(at);
    else if (checkSimplePath(scale[name], at, mistakes) && !scale[name].startsWith(`${root}.`))
      mistakes.invalid(at, scale[name], `should be a json path under ${root}`);
  }
  const { labelSelectorPath } = scale;
  const at = `${path}.scale.labelSelectorPath`;
  if (
    labelSelectorPath &&
    checkSimplePath(labelSelectorPath, at, mistakes) &&
    !/^\.(spec|status)\./.test(labelSelectorPath)
  )
    mistakes.invalid(at, labelSelectorPath, 'should be a json path under either .spec or .status');
}

function checkColumn(
  column: NonNullable<Version['additionalPrinterColumns']>[number],
  path: string,
  mistakes: Mistakes,
): void {
  if (!column.name) mistakes.required(`${path}.name`);
  const why = `must be one of ${columnTypes.join(',')}`;
  if (!column.type) mistakes.required(`${path}.type`, why);
  else if (!columnTypes.includes(column.type)) mistakes.invalid(`${path}.type`, column.type, why);
  if (column.format && !columnFormats.includes(column.format))
    mistakes.invalid(`${path}.format`, column.format, `must be one of ${columnFormats.join(',')}`);
  if (!column.jsonPath) mistakes.required(`${path}.JSONPath`);
  else checkSimplePath(column.jsonPath, `${path}.JSONPath`, mistakes);
}

function checkSelectable(version: Version, path: string, mistakes: Mistakes): void {
  if (!version.selectableFields?.length) return;
  const schema = version.schema?.openAPIV3Schema as Json | undefined;
  if (!schema) {
    mistakes.invalid(path, '', 'may only be set when `version.schema.openAPIV3Schema` is not included');
    return;
  }
  const node = schemas.compileSchema(schema);
  const seen = new Set<string>();
  for (const [index, { jsonPath }] of version.selectableFields!.entries()) {
    const at = `${path}[${index}].jsonPath`;
    if (!jsonPath) {
      mistakes.required(at);
      continue;
    }
    const found = schemas.followPath(jsonPath, node, false);
    if ('error' in found) {
      mistakes.invalid(at, jsonPath, `is an invalid path: ${found.error}`);
      continue;
    }
    if (/^metadata(\.|$)/.test(found.path)) mistakes.invalid(at, jsonPath, 'must not point to fields in metadata');
    if (!['string', 'boolean', 'integer'].includes(found.schema.type))
      mistakes.invalid(
        at,
        jsonPath,
        'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
      );
    if (seen.has(found.path)) mistakes.duplicate(at, jsonPath);
    seen.add(found.path);
  }
  if (seen.size > selectableMax)
    mistakes.list.push({
      type: 'FieldValueTooMany',
      field: path,
      message: `Too many: ${seen.size}: must have at most ${selectableMax} items`,
    });
}

function checkNames(names: Partial<Definition['spec']['names']> | undefined, path: string, mistakes: Mistakes): void {
  if (!names) return;
  const mixed = 'may have mixed case, but should otherwise match: ';
  mistakes.label(`${path}.plural`, names.plural);
  mistakes.label(`${path}.singular`, names.singular);
  mistakes.label(`${path}.kind`, names.kind, mixed);
  mistakes.label(`${path}.listKind`, names.listKind, mixed);
  for (const [index, name] of (names.shortNames ?? []).entries())
    mistakes.label(`${path}.shortNames[${index}]`, name || ' ');
  if (names.kind && names.kind === names.listKind)
    mistakes.invalid(`${path}.listKind`, names.listKind, 'kind and listKind may not be the same');
  for (const [index, name] of (names.categories ?? []).entries())
    mistakes.label(`${path}.categories[${index}]`, name || ' ');
}

function checkImmutable(spec: Definition['spec'], current: Readonly<Definition>, mistakes: Mistakes): void {
  const keep = (path: string, next: unknown, old: unknown) => {
    if (next !== old) mistakes.invalid(path, next, 'field is immutable');
  };
  if (isTrue(current, 'Established')) {
    keep('spec.scope', spec.scope, current.spec.scope);
    keep('spec.names.kind', spec.names.kind, current.spec.names.kind);
  }
  keep('spec.group', spec.group, current.spec.group);
  keep('spec.names.plural', spec.names.plural, current.spec.names.plural);
}

function checkStoredVersions({ spec, status }: Readonly<Definition>, mistakes: Mistakes): void {
  const stored = status?.storedVersions ?? [];
  const path = 'status.storedVersions';
  if (stored.length === 0) {
    mistakes.invalid(path, status?.storedVersions ?? null, 'must have at least one stored version');
    return;
  }
  for (const { name, storage } of spec.versions ?? [])
    if (storage && !stored.includes(name)) mistakes.invalid(path, stored, `must have the storage version ${name}`);
  for (const [index, name] of stored.entries())
    if (!spec.versions?.some((version) => version.name === name))
      mistakes.invalid(
        `${path}[${index}]`,
        name,
        `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
      );
}

const approval = 'api-approved.kubernetes.io';
type Approval = 'missing' | 'approved' | 'bypassed' | 'invalid';
function approvalOf(definition: Readonly<Definition>): Approval {
  const text = definition.metadata.annotations?.[approval];
  if (!text) return 'missing';
  if (text.startsWith('unapproved')) return 'bypassed';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.host ? 'approved' : 'invalid';
}
/** Groups of the Kubernetes community need a link to where they were agreed upon. */
function checkApproval(
  next: Readonly<Definition>,
  current: Readonly<Definition> | undefined,
  mistakes: Mistakes,
): void {
  const { group } = next.spec;
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(group)) return;
  const state = approvalOf(next);
  if (current && approvalOf(current) === state) return;
  const at = `metadata.annotations[${approval}]`;
  if (state === 'missing')
    mistakes.required(
      at,
      `protected groups must have approval annotation ${JSON.stringify(approval)}, see https://github.com/kubernetes/enhancements/pull/1111`,
    );
  if (state === 'invalid')
    mistakes.invalid(
      at,
      next.metadata.annotations?.[approval],
      `protected groups must have approval annotation ${JSON.stringify(approval)} with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111`,
    );
}
