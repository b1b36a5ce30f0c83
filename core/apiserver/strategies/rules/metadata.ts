import { type FieldError, fieldErrors, type KubeObject, type ObjectMeta } from '#api';
import { dnsSubdomain, labelValue, type NameRule, qualifiedName } from './names.ts';
import { checkName, type Mistakes, sameJson } from './values.ts';

const annotationsBytesMax = 256 * 1024;
const standardFinalizers = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);

export function checkLabels(
  mistakes: Mistakes,
  labels: Readonly<Record<string, string>> | undefined,
  field: string,
): void {
  for (const [key, value] of Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
    checkName(mistakes, field, key, qualifiedName);
    for (const detail of labelValue(value)) mistakes.push(fieldErrors.invalid(field, value, detail));
  }
}

export function checkAnnotations(
  mistakes: Mistakes,
  annotations: Readonly<Record<string, string>> | undefined,
  field: string,
): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    for (const detail of qualifiedName(key.toLowerCase())) mistakes.push(fieldErrors.invalid(field, key, detail));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > annotationsBytesMax) mistakes.push(fieldErrors.tooLong(field, annotationsBytesMax));
}

export function checkFinalizer(mistakes: Mistakes, text: string, field: string): void {
  checkName(mistakes, field, text, qualifiedName);
  if (mistakes.at(-1)?.field === field) return;
  if (!text.includes('/') && !standardFinalizers.has(text))
    mistakes.push(
      fieldErrors.invalid(field, text, 'name is neither a standard finalizer name nor is it fully qualified'),
    );
}

function checkOwners(mistakes: Mistakes, meta: Readonly<ObjectMeta>): void {
  let controllers = 0;
  for (const [index, owner] of (meta.ownerReferences ?? []).entries()) {
    const field = `metadata.ownerReferences[${index}]`;
    for (const name of ['apiVersion', 'kind', 'name', 'uid'] as const)
      if (!owner[name]) mistakes.push(fieldErrors.required(`${field}.${name}`, 'must not be empty'));
    if (owner.controller) controllers++;
  }
  if (controllers > 1)
    mistakes.push(
      fieldErrors.invalid(
        'metadata.ownerReferences',
        meta.ownerReferences,
        `Only one reference can have Controller set to true. Found "true" in references for ${meta
          .ownerReferences!.filter((owner) => owner.controller)
          .map((owner) => owner.name)
          .slice(0, 2)
          .join(' and ')}`,
      ),
    );
}

const pathSegment: NameRule = (name) => {
  if (name === '.' || name === '..') return [`may not be '${name}'`];
  return ['/', '%'].filter((part) => name.includes(part)).map((part) => `may not contain '${part}'`);
};

/**
 * Everything about metadata that does not depend on the kind, but for the rule of its name.
 * `plainFinalizers`: they need no domain, as of custom kinds.
 */
export function checkMetadata(
  object: Readonly<KubeObject>,
  current: Readonly<KubeObject> | undefined,
  nameRule: NameRule = dnsSubdomain,
  plainFinalizers = false,
): FieldError[] {
  const mistakes: Mistakes = [];
  const meta = object.metadata;
  if (meta.generateName && !current)
    for (const detail of nameRule(meta.generateName.replace(/-$/, 'a')))
      mistakes.push(fieldErrors.invalid('metadata.generateName', meta.generateName, detail));
  if (!meta.name) mistakes.push(fieldErrors.required('metadata.name', 'name or generateName is required'));
  else checkName(mistakes, 'metadata.name', meta.name, nameRule === anyPathSegment ? pathSegment : nameRule);
  if (meta.generation !== undefined && meta.generation < 0)
    mistakes.push(fieldErrors.invalid('metadata.generation', meta.generation, 'must be greater than or equal to 0'));
  checkLabels(mistakes, meta.labels, 'metadata.labels');
  checkAnnotations(mistakes, meta.annotations, 'metadata.annotations');
  checkOwners(mistakes, meta);
  for (const [index, finalizer] of (meta.finalizers ?? []).entries())
    if (!plainFinalizers || !finalizer) checkFinalizer(mistakes, finalizer, `metadata.finalizers[${index}]`);
    else checkName(mistakes, `metadata.finalizers[${index}]`, finalizer, qualifiedName);
  if (!current && meta.finalizers?.includes('orphan') && meta.finalizers.includes('foregroundDeletion'))
    mistakes.push(
      fieldErrors.invalid(
        'metadata.finalizers',
        meta.finalizers,
        'finalizer orphan and foregroundDeletion cannot be both set',
      ),
    );
  if (current) checkImmutable(mistakes, meta, current.metadata);
  return mistakes;
}
/** Names that need only be safe in a path, such as those of roles. */
export const anyPathSegment: NameRule = pathSegment;

function checkImmutable(mistakes: Mistakes, next: Readonly<ObjectMeta>, current: Readonly<ObjectMeta>): void {
  const fields = [
    'name',
    'namespace',
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ] as const;
  for (const name of fields)
    if (!sameJson(next[name], current[name]))
      mistakes.push(fieldErrors.invalid(`metadata.${name}`, next[name], 'field is immutable'));
  if (!current.deletionTimestamp) return;
  const added = (next.finalizers ?? []).filter((finalizer) => !current.finalizers?.includes(finalizer));
  if (added.length)
    mistakes.push(
      fieldErrors.forbidden(
        'metadata.finalizers',
        `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added
          .map((text) => JSON.stringify(text))
          .join(', ')}}`,
      ),
    );
}
