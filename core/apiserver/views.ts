import type { KubeObject } from '#api';
import { apiVersionOf, errors, facts, StatusError } from '#api';
import { timeText } from '#base';
import type { Column } from '#sdk';
import type { CachedObject } from './cached-object.ts';
import type { AnyObject, ServedKind } from './contract.ts';
import type { Call } from './core.ts';
import type { Wanted } from './negotiate.ts';
import type { Encodings } from './protobuf/encodings.ts';

/** Turns objects into what the client asked for: themselves, their metadata, or rows of a table. */
export interface View {
  readonly wanted: Wanted;
  readonly includeObject: 'Metadata' | 'None' | 'Object';
  readonly nowMs: number;
  readonly encodings: Encodings;
}
const inclusions: readonly (string | null)[] = [null, '', 'Metadata', 'Object', 'None'];

/** Throws 400 and 406 for forms that upstream refuses too. */
export function viewOf({ wanted, info, nowMs, core, served }: Call): View {
  const include = info.query.get('includeObject');
  if (wanted.as === 'Table' && !inclusions.includes(include))
    throw errors.badRequest(
      `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(include)}: must be 'Metadata', 'Object', 'None', or empty`,
    );
  const goType = () => `*${served.kind.group.split('.')[0] || 'core'}.${served.kind.kind}`;
  const isList = info.verb === 'list' || info.verb === 'deletecollection';
  if (wanted.as === 'PartialObjectMetadata' && isList)
    throw unfit(`you requested PartialObjectMetadata, but the requested object is a list (${goType()}List)`);
  if (wanted.as === 'PartialObjectMetadataList' && !isList)
    throw unfit(`you requested PartialObjectMetadataList, but the requested object is not a list (${goType()})`);
  const includeObject = include === 'None' || include === 'Object' ? include : 'Metadata';
  return { wanted, includeObject, nowMs, encodings: core.encodings };
}
const unfit = (text: string): StatusError => new StatusError(406, 'NotAcceptable', text);

/** True: the object's own bytes are the answer. */
export const isPlain = (view: View): boolean =>
  view.wanted.as === 'object' && view.wanted.format === 'json' && !view.wanted.pretty;

export function viewObject(view: View, object: CachedObject, withColumns = true): unknown {
  switch (view.wanted.as) {
    case 'object':
      return object.object;
    case 'Table':
      return tableOf(view, object.served, [object], { resourceVersion: object.version }, withColumns);
    default:
      return partialOf(view, object.object);
  }
}

export function viewList(
  view: View,
  served: ServedKind,
  objects: readonly CachedObject[],
  metadata: Readonly<Record<string, unknown>>,
): unknown {
  if (view.wanted.as === 'Table') return tableOf(view, served, objects, metadata, true);
  if (view.wanted.as === 'object') {
    return {
      kind: `${served.kind.kind}List`,
      apiVersion: apiVersionOf(served.kind),
      metadata,
      items: objects.map((object) => itemOf(served, object.object)),
    };
  }
  return {
    kind: 'PartialObjectMetadataList',
    apiVersion: `meta.k8s.io/${view.wanted.version}`,
    metadata,
    items: objects.map((object) => partialOf(view, object.object)),
  };
}

/** Items of built-in kinds do not repeat the type that the list states. */
function itemOf(served: ServedKind, object: Readonly<AnyObject>): Readonly<Record<string, unknown>> {
  if (!facts().types[served.kind.type]) return object;
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  return rest;
}

const partialOf = (view: View, object: Readonly<AnyObject>) => ({
  kind: 'PartialObjectMetadata',
  apiVersion: `meta.k8s.io/${view.wanted.version}`,
  metadata: object.metadata,
});

function tableOf(
  view: View,
  served: ServedKind,
  objects: readonly CachedObject[],
  metadata: Readonly<Record<string, unknown>>,
  withColumns: boolean,
): unknown {
  const columns = served.columns ?? served.strategy.columns ?? plainColumns;
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${view.wanted.version}`,
    metadata,
    columnDefinitions: withColumns
      ? columns.map(({ name, type, format, description, priority }) => ({
          name,
          type,
          format: format ?? (name === 'Name' ? 'name' : ''),
          description,
          priority,
        }))
      : null,
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.value(object.object, view.nowMs)),
      object:
        view.includeObject === 'None'
          ? null
          : view.includeObject === 'Object'
            ? object.object
            : partialOf(view, object.object),
    })),
  };
}

/** Of kinds without columns of their own. */
const plainColumns: readonly Column<KubeObject>[] = [
  {
    name: 'Name',
    type: 'string',
    format: 'name',
    priority: 0,
    description: 'Unique within its namespace.',
    value: (object) => object.metadata.name ?? '',
  },
  {
    name: 'Created At',
    type: 'date',
    priority: 0,
    description: 'When the server stored it first.',
    value: (object) => object.metadata.creationTimestamp ?? timeText(0),
  },
];
