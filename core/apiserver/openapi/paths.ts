import { pathOf } from '#api';
import type { ServedKind } from '../contract.ts';

type Json = Record<string, unknown>;
type Action = 'list' | 'post' | 'get' | 'put' | 'patch' | 'delete' | 'deletecollection';

const parameter = (name: string, place: 'query' | 'path', type: string, version: 2 | 3): Json => ({
  name,
  in: place,
  required: place === 'path' ? true : undefined,
  ...(version === 3 ? { schema: { type, uniqueItems: true } } : { type, uniqueItems: true }),
});
/** Queries that each action understands. kubectl decides by `fieldValidation` of PATCH whether the server checks fields. */
const queries: Readonly<Record<Action, readonly (readonly [string, string])[]>> = {
  list: [
    ['allowWatchBookmarks', 'boolean'],
    ['continue', 'string'],
    ['fieldSelector', 'string'],
    ['labelSelector', 'string'],
    ['limit', 'integer'],
    ['resourceVersion', 'string'],
    ['resourceVersionMatch', 'string'],
    ['sendInitialEvents', 'boolean'],
    ['timeoutSeconds', 'integer'],
    ['watch', 'boolean'],
  ],
  get: [],
  post: [
    ['dryRun', 'string'],
    ['fieldManager', 'string'],
    ['fieldValidation', 'string'],
  ],
  put: [
    ['dryRun', 'string'],
    ['fieldManager', 'string'],
    ['fieldValidation', 'string'],
  ],
  patch: [
    ['dryRun', 'string'],
    ['fieldManager', 'string'],
    ['fieldValidation', 'string'],
    ['force', 'boolean'],
  ],
  delete: [
    ['dryRun', 'string'],
    ['gracePeriodSeconds', 'integer'],
    ['propagationPolicy', 'string'],
  ],
  deletecollection: [
    ['dryRun', 'string'],
    ['fieldSelector', 'string'],
    ['labelSelector', 'string'],
    ['propagationPolicy', 'string'],
  ],
};
const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

function operation(served: ServedKind, action: Action, version: 2 | 3, prefix: string): Json {
  const { group, version: kindVersion, kind, type } = served.kind;
  const content = (media: readonly string[], schema: Json): Json => ({
    content: Object.fromEntries(media.map((name) => [name, { schema }])),
  });
  const object = { $ref: prefix + type };
  const writes = action === 'post' || action === 'put' || action === 'patch';
  const body = action === 'patch' ? { type: 'object' } : object;
  return {
    tags: [group || 'core'],
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group, version: kindVersion, kind },
    parameters: [
      ...queries[action].map(([name, shape]) => parameter(name, 'query', shape, version)),
      ...(version === 2 && writes ? [{ name: 'body', in: 'body', required: true, schema: body }] : []),
    ],
    requestBody:
      version === 3 && writes ? content(action === 'patch' ? patchTypes : ['application/json'], body) : undefined,
    responses: {
      200: { description: 'OK', ...(version === 3 ? content(['application/json'], object) : { schema: object }) },
    },
  };
}

/** Collection, object and status paths of one kind. */
export function pathsOf(served: ServedKind, version: 2 | 3, prefix: string): Record<string, Json> {
  const { kind } = served;
  const op = (action: Action): Json => operation(served, action, version, prefix);
  const inPath = (...names: string[]): Json[] => names.map((name) => parameter(name, 'path', 'string', version));
  const scope = kind.namespaced ? ['namespace'] : [];
  const collection = decodeURI(pathOf(kind, kind.namespaced ? '{namespace}' : undefined));
  const paths: Record<string, Json> = {
    [collection]: { get: op('list'), post: op('post'), delete: op('deletecollection'), parameters: inPath(...scope) },
    [`${collection}/{name}`]: {
      get: op('get'),
      put: op('put'),
      patch: op('patch'),
      delete: op('delete'),
      parameters: inPath('name', ...scope),
    },
  };
  if (kind.namespaced) paths[pathOf(kind)] = { get: op('list') };
  if (served.strategy.subresources.includes('status'))
    paths[`${collection}/{name}/status`] = {
      get: op('get'),
      put: op('put'),
      patch: op('patch'),
      parameters: inPath('name', ...scope),
    };
  return paths;
}
