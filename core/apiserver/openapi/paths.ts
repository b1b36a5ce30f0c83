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
/** Kinds with a schema of their own are merged as plain JSON: `kubectl apply` asks here before it chooses its patch. */
const patchTypesOf = ({ schema, rest }: ServedKind): readonly string[] =>
  rest ? patchTypes.slice(0, 2) : schema ? patchTypes.filter((name) => !name.includes('strategic')) : patchTypes;
const mediaOf = ({ schema }: ServedKind): readonly string[] => [
  'application/json',
  'application/yaml',
  ...(schema ? [] : ['application/vnd.kubernetes.protobuf']),
];

const verbs: Readonly<Record<Action, { readonly verb: string; readonly word: string }>> = {
  list: { verb: 'list', word: 'list' },
  post: { verb: 'create', word: 'create' },
  get: { verb: 'get', word: 'read' },
  put: { verb: 'update', word: 'replace' },
  patch: { verb: 'patch', word: 'patch' },
  delete: { verb: 'delete', word: 'delete' },
  deletecollection: { verb: 'deletecollection', word: 'delete' },
};
const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
/** `core_v1`, `rbacAuthorization_v1`; with a capital it begins the second part of operation ids. */
const groupWord = (group: string): string =>
  (group.replace(/\.k8s\.io$/, '') || 'core')
    .split('.')
    .map((part, index) => (index ? capital(part) : part))
    .join('');

/** Generated clients name their methods by it: `listCoreV1NamespacedPod`. */
function operationId({ kind }: ServedKind, action: Action, place: Place): string {
  const scope = place.everywhere ? '' : kind.namespaced ? 'Namespaced' : '';
  const collection = action === 'deletecollection' ? 'Collection' : '';
  const tail = place.everywhere ? 'ForAllNamespaces' : (place.part ?? '');
  return `${verbs[action].word}${capital(groupWord(kind.group))}${capital(kind.version)}${collection}${scope}${kind.kind}${tail}`;
}
interface Place {
  /** The collection over all namespaces. */
  readonly everywhere?: boolean;
  /** `Status`. */
  readonly part?: string;
}
const statusType = 'io.k8s.apimachinery.pkg.apis.meta.v1.Status';

function operation(served: ServedKind, action: Action, version: 2 | 3, prefix: string, place: Place): Json {
  const { group, version: kindVersion, kind, type } = served.kind;
  const content = (media: readonly string[], schema: Json): Json => ({
    content: Object.fromEntries(media.map((name) => [name, { schema }])),
  });
  const object = { $ref: prefix + type };
  const isDeletion = action === 'delete' || action === 'deletecollection';
  const answer = { $ref: prefix + (action === 'list' ? `${type}List` : isDeletion ? statusType : type) };
  const writes = action === 'post' || action === 'put' || action === 'patch';
  const body = action === 'patch' ? { type: 'object' } : object;
  const parameters = [
    ...queries[action].map(([name, shape]) => parameter(name, 'query', shape, version)),
    ...(version === 2 && writes ? [{ name: 'body', in: 'body', required: true, schema: body }] : []),
  ];
  const media = mediaOf(served);
  return {
    tags: [`${groupWord(group)}_${kindVersion}`],
    operationId: operationId(served, action, place),
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group, version: kindVersion, kind },
    parameters: parameters.length > 0 ? parameters : undefined,
    ...(version === 2 ? { consumes: action === 'patch' ? patchTypesOf(served) : ['*/*'], produces: media } : {}),
    requestBody:
      version === 3 && writes
        ? { ...content(action === 'patch' ? patchTypesOf(served) : ['*/*'], body), required: true }
        : undefined,
    responses: {
      [action === 'post' ? 201 : 200]: {
        description: 'OK',
        ...(version === 3 ? content(media, answer) : { schema: answer }),
      },
      401: { description: 'Unauthorized' },
    },
  };
}

/** Collection, object and status paths of one kind, with the verbs that it takes. */
export function pathsOf(served: ServedKind, version: 2 | 3, prefix: string): Record<string, Json> {
  const { kind } = served;
  const taken = (action: Action): boolean => kind.verbs?.includes(verbs[action].verb) ?? true;
  const item = (actions: Readonly<Record<string, Action>>, names: readonly string[], place: Place = {}): Json => ({
    ...Object.fromEntries(
      Object.entries(actions)
        .filter(([, action]) => taken(action))
        .map(([method, action]) => [method, operation(served, action, version, prefix, place)]),
    ),
    parameters: names.length > 0 ? names.map((name) => parameter(name, 'path', 'string', version)) : undefined,
  });
  const scope = kind.namespaced ? ['namespace'] : [];
  const collection = decodeURI(pathOf(kind, kind.namespaced ? '{namespace}' : undefined));
  const named = ['name', ...scope];
  const paths: Record<string, Json> = {
    [collection]: item({ get: 'list', post: 'post', delete: 'deletecollection' }, scope),
    [`${collection}/{name}`]: item({ get: 'get', put: 'put', patch: 'patch', delete: 'delete' }, named),
  };
  if (kind.namespaced) paths[pathOf(kind)] = item({ get: 'list' }, [], { everywhere: true });
  if (served.strategy.subresources.includes('status'))
    paths[`${collection}/{name}/status`] = item({ get: 'get', put: 'put', patch: 'patch' }, named, { part: 'Status' });
  return Object.fromEntries(
    Object.entries(paths).filter(([, path]) => Object.keys(path).some((name) => name !== 'parameters')),
  );
}
