import { type Strategy, schemas } from '#sdk';
import { definitionColumns } from './columns.ts';
import { cleanupFinalizer, type Definition, definitionKind, setCondition } from './kind.ts';
import { validateDefinition } from './validate.ts';

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** How definitions themselves are served. `now`: RFC 3339. */
export function definitionStrategy(now: () => string): Strategy<Definition> {
  return {
    kind: definitionKind,
    subresources: ['status'],
    columns: definitionColumns,
    needsVersion: true,
    defaults({ spec }) {
      const { names } = spec;
      if (!names) return;
      names.singular ||= names.kind.toLowerCase();
      if (names.kind) names.listKind ||= `${names.kind}List`;
      spec.conversion ??= { strategy: 'None' };
      const service = spec.conversion.webhook?.clientConfig?.service;
      if (service) service.port ??= 443;
    },
    prepareForCreate(draft) {
      draft.metadata.generation = 1;
      draft.status = { acceptedNames: { kind: '', plural: '' }, conditions: null as never }; // as upstream answers
      rememberStorage(draft);
    },
    prepareForUpdate(next, current, request) {
      if (request.subresource === 'status') {
        next.spec = current.spec;
        return;
      }
      next.status = structuredClone(current.status);
      if (!Bun.deepEquals(next.spec, current.spec, false))
        next.metadata.generation = (current.metadata.generation ?? 0) + 1;
      rememberStorage(next);
    },
    prepareForDelete(draft) {
      const finalizers = (draft.metadata.finalizers ??= []);
      if (!finalizers.includes(cleanupFinalizer)) finalizers.push(cleanupFinalizer);
      setCondition(
        draft,
        {
          type: 'Terminating',
          status: 'True',
          reason: 'InstanceDeletionPending',
          message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
        },
        now(),
      );
    },
    validate: (next, current, subresource) => (subresource === 'status' ? [] : validateDefinition(next, current)),
    warnings: (next, current) => {
      const known = new Set(current ? schemaWarnings(current) : []);
      return schemaWarnings(next).filter((warning) => !known.has(warning));
    },
  };
}

function rememberStorage({ spec, status }: Definition): void {
  const storage = spec.versions?.find((version) => version.storage)?.name;
  if (storage === undefined || status!.storedVersions?.includes(storage)) return;
  status!.storedVersions = [...(status!.storedVersions ?? []), storage];
}

function schemaWarnings({ spec }: Readonly<Definition>): string[] {
  const formats: string[] = [];
  const sets = new Set<string>();
  const walk = (schema: unknown): void => {
    if (!isObject(schema)) return;
    const { type, format, items } = schema;
    const kind = typeof type === 'string' ? type : '';
    if (typeof format === 'string' && format && !schemas.isCheckedFormat(format, kind))
      formats.push(`unrecognized format ${JSON.stringify(format)}`);
    if (
      schema['x-kubernetes-list-type'] === 'set' &&
      isObject(items) &&
      (items['type'] === 'object' || items['type'] === 'array')
    )
      sets.add(
        `x-kubernetes-list-type: set for items of type ${JSON.stringify(items['type'])} is not supported by server-side apply or CEL validation rules`,
      );
    for (const junctor of ['allOf', 'anyOf', 'oneOf'])
      if (Array.isArray(schema[junctor])) schema[junctor].forEach(walk);
    if (isObject(schema['properties'])) Object.values(schema['properties']).forEach(walk);
    for (const one of [items, schema['additionalProperties'], schema['not']]) walk(one);
  };
  for (const version of spec.versions ?? []) walk(version.schema?.openAPIV3Schema);
  return [...formats, ...[...sets].sort()];
}
