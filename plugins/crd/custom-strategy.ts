import { errors, type FieldError, fieldErrors, type KubeObject, type Strategy, schemas } from '#sdk';
import type { CustomSchema } from './custom-schema.ts';
import { compilePath } from './json-path.ts';
import type { Version } from './kind.ts';

type AnyObject = KubeObject & Record<string, unknown>;
export interface CustomOptions {
  readonly kind: Strategy<KubeObject>['kind'];
  readonly version: Version;
  readonly schema: CustomSchema;
  /** The definition is being deleted. */
  isEnding(): boolean;
}
const skippedRules =
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';
/** Mistakes of these sorts make rules meaningless. */
const blocking = new Set<string>([
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
  'FieldValueNotSupported',
]);

export function customStrategy(options: CustomOptions): Strategy<KubeObject> {
  const { kind, version } = options;
  const hasStatus = version.subresources?.status !== undefined;
  const selectable = (version.selectableFields ?? []).map(({ jsonPath }) => ({
    name: jsonPath.replace(/^\./, ''),
    read: compilePath(jsonPath),
  }));
  return {
    kind,
    subresources: [...(hasStatus ? ['status'] : []), ...(version.subresources?.scale ? ['scale'] : [])],
    needsVersion: true,
    answersDeleted: false,
    prepareForCreate(draft) {
      if (options.isEnding())
        throw errors.forbidden(
          `${kind.plural}.${kind.group}`,
          draft.metadata.name ?? '',
          'create not allowed while custom resource definition is terminating',
        );
      if (hasStatus) delete (draft as AnyObject)['status'];
      draft.metadata.generation = 1;
    },
    prepareForUpdate(next, current, request) {
      if (request.subresource === 'status') keepAllButStatus(next as AnyObject, current as AnyObject);
      else if (hasStatus) restore(next as AnyObject, current as AnyObject, 'status');
      if (
        !Bun.deepEquals(
          withoutMetadata(next, request.subresource),
          withoutMetadata(current, request.subresource),
          false,
        )
      )
        next.metadata.generation = (current.metadata.generation ?? 0) + 1;
    },
    validate: (next, current, subresource) =>
      validate(options, next as AnyObject, current as AnyObject | undefined, subresource),
    warnings: (next, current) => warningsOf(options, next, current),
    ...(selectable.length > 0
      ? {
          selectableFields: (object) =>
            Object.fromEntries(
              selectable.map(({ name, read }) => {
                const value = read?.(object)[0];
                return [name, value === undefined || value === null ? '' : String(value as string | number | boolean)];
              }),
            ),
        }
      : {}),
  };
}

const withoutMetadata = (object: Readonly<KubeObject>, subresource: string | undefined) => ({
  ...object,
  metadata: undefined,
  ...(subresource === 'status' ? { status: undefined } : {}),
});
function restore(target: AnyObject, source: AnyObject, field: string): void {
  if (source[field] === undefined) delete target[field];
  else target[field] = source[field];
}
function keepAllButStatus(next: AnyObject, current: AnyObject): void {
  for (const field of new Set([...Object.keys(next), ...Object.keys(current)]))
    if (field !== 'status' && field !== 'metadata') restore(next, current, field);
  const { managedFields, resourceVersion } = next.metadata;
  next.metadata = { ...current.metadata, managedFields, resourceVersion };
}

function validate(
  { schema, version }: CustomOptions,
  next: AnyObject,
  current: AnyObject | undefined,
  subresource: string | undefined,
): FieldError[] {
  const node = schema.node();
  const former = current ?? schemas.uncorrelated;
  const mistakes: FieldError[] = [];
  if (subresource === 'status') {
    const status = node.properties?.get('status');
    if (status && next['status'] !== undefined)
      mistakes.push(
        ...schemas.validateValue(status, next['status'], 'status', current?.['status'] ?? schemas.uncorrelated),
      );
  } else mistakes.push(...schemas.validateValue(node, next, '', former));
  const { scale } = version.subresources ?? {};
  if (scale) {
    if (subresource !== 'status') mistakes.push(...checkReplicas(next, scale.specReplicasPath));
    mistakes.push(...checkReplicas(next, scale.statusReplicasPath));
  }
  mistakes.push(...checkEmbedded(node, next, ''));
  const wasUnique = !current || !node.has.uniqueLists || schemas.checkUniqueLists(node, current).length === 0;
  if (node.has.uniqueLists && wasUnique) mistakes.push(...schemas.checkUniqueLists(node, next));
  if (!node.has.rules) return mistakes;
  if (mistakes.some(({ type }) => blocking.has(type)))
    return [...mistakes, fieldErrors.invalid(schemas.noPath, null, skippedRules)];
  return [...mistakes, ...schemas.checkRules(node, next, former).mistakes];
}

function checkReplicas(object: AnyObject, path: string): FieldError[] {
  const wrong = (value: unknown, expected: string) => [
    fieldErrors.invalid(
      path,
      0,
      `${path} accessor error: ${goText(value)} is of the type ${goType(value)}, expected ${expected}`,
    ),
  ];
  let value: unknown = object;
  for (const name of path.replace(/^\./, '').split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return wrong(value, 'map[string]interface{}');
    value = (value as Record<string, unknown>)[name];
    if (value === undefined) return [];
  }
  if (typeof value !== 'bigint' && !Number.isInteger(value)) return wrong(value, 'int64');
  if ((value as number | bigint) < 0) return [fieldErrors.invalid(path, value, 'should be a non-negative integer')];
  if ((value as number | bigint) > 2147483647)
    return [fieldErrors.invalid(path, value, 'should be less than or equal to 2147483647')];
  return [];
}
const goType = (value: unknown): string => {
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return '[]interface {}';
  if (typeof value === 'bigint') return 'int64';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64';
  return typeof value === 'boolean' ? 'bool' : typeof value === 'object' ? 'map[string]interface {}' : 'string';
};
const goText = (value: unknown): string =>
  value === null
    ? '<nil>'
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value as string | number | boolean);

/** An embedded resource says what it is. */
function checkEmbedded(node: schemas.SchemaNode, value: unknown, path: string): FieldError[] {
  if (Array.isArray(value))
    return node.items ? value.flatMap((one, index) => checkEmbedded(node.items!, one, `${path}[${index}]`)) : [];
  if (typeof value !== 'object' || value === null) return [];
  const object = value as Record<string, unknown>;
  const mistakes: FieldError[] = [];
  if (node.embedded) {
    for (const name of ['apiVersion', 'kind'])
      if (!object[name])
        mistakes.push(fieldErrors.required(`${path}.${name}`, object[name] === '' ? 'must not be empty' : ''));
  }
  for (const [name, inner] of Object.entries(object)) {
    const property = node.properties?.get(name);
    if (property) mistakes.push(...checkEmbedded(property, inner, path ? `${path}.${name}` : name));
    else if (typeof node.additional === 'object')
      mistakes.push(...checkEmbedded(node.additional, inner, `${path}[${name}]`));
  }
  return mistakes;
}

function warningsOf(
  { schema }: CustomOptions,
  next: Readonly<KubeObject>,
  current: Readonly<KubeObject> | undefined,
): string[] {
  const added = (next.metadata.finalizers ?? []).filter((name) => !current?.metadata.finalizers?.includes(name)).sort();
  const plain = added
    .filter((name) => !name.includes('/') && !/^(orphan|foregroundDeletion|kubernetes)$/.test(name))
    .map((name) =>
      name.includes('.')
        ? `metadata.finalizers: ${JSON.stringify(name)}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers`
        : `metadata.finalizers: ${JSON.stringify(name)}: prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers`,
    );
  const node = schema.node();
  return current && node.has.rules ? [...plain, ...schemas.checkRules(node, next, current).warnings] : plain;
}
