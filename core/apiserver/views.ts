import type { KubeObject } from '#api';
import { apiVersionOf, facts } from '#api';
import { timeText } from '#base';
import type { Column } from '#sdk';
import type { CachedObject } from './cached-object.ts';
import type { AnyObject, ServedKind } from './contract.ts';
import type { Wanted } from './negotiate.ts';

/** Turns objects into what the client asked for: themselves, their metadata, or rows of a table. */
export interface View {
  readonly wanted: Wanted;
  readonly includeObject: 'Metadata' | 'None' | 'Object';
  readonly nowMs: number;
}
export const viewOf = (wanted: Wanted, query: URLSearchParams, nowMs: number): View => {
  const include = query.get('includeObject');
  return { wanted, includeObject: include === 'None' || include === 'Object' ? include : 'Metadata', nowMs };
};

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
          type: type === 'date' ? 'string' : type,
          format: format ?? (name === 'Name' ? 'name' : ''),
          description,
          priority,
        }))
      : null,
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.value(object.object, view.nowMs)),
      ...(view.includeObject === 'None'
        ? {}
        : { object: view.includeObject === 'Object' ? object.object : partialOf(view, object.object) }),
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
