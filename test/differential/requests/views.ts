import { at, type Exchange, post, type Scenario } from '../scenario.ts';

const maps = at('configmaps');
const map = (name: string) => ({ metadata: { name, labels: { a: 'b' } }, data: { x: '1', y: '2' } });
const form = (as: string, version = 'v1', group = 'meta.k8s.io') => `application/json;as=${as};v=${version};g=${group}`;
const asked = (path: string, accept: string, more: Partial<Exchange> = {}): Exchange => ({
  path,
  headers: { accept },
  ...more,
});
const lists = [
  'configmaps',
  'secrets',
  'services',
  'endpoints',
  'events',
  'pods',
  'serviceaccounts',
  'replicationcontrollers',
  'endpointslices|discovery.k8s.io/v1',
  'leases|coordination.k8s.io/v1',
];
export const views: readonly Scenario[] = [
  {
    name: 'tables and metadata',
    requests: [
      post(maps, map('a')),
      post(maps, map('b')),
      ...['Table', 'PartialObjectMetadata', 'PartialObjectMetadataList', 'Nothing'].flatMap((as) => [
        asked(`${maps}/a`, form(as)),
        asked(maps, form(as)),
        asked(`${maps}/a`, form(as, 'v1beta1')),
        asked(`${maps}/a`, form(as, 'v2')),
        asked(`${maps}/a`, form(as, 'v1', 'other')),
        asked(`${maps}/a`, `${form(as, 'v2')},application/json`),
        asked(`${maps}?watch=true&timeoutSeconds=1&resourceVersion=0`, form(as), { frames: 2 }),
        asked(
          `${maps}?watch=true&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan`,
          form(as),
          { frames: 3 },
        ),
        asked(`${maps}/none`, form(as)),
      ]),
      asked(`${maps}?includeObject=None`, form('Table')),
      asked(`${maps}?includeObject=Object`, form('Table')),
      asked(`${maps}?includeObject=Metadata`, form('Table')),
      asked(`${maps}?includeObject=Odd`, form('Table')),
      asked(`${maps}?limit=1`, form('Table')),
      asked(`${maps}?limit=1`, form('PartialObjectMetadataList')),
      { method: 'POST', path: maps, body: map('c'), headers: { accept: form('Table') } },
      { method: 'POST', path: maps, body: map('d'), headers: { accept: form('PartialObjectMetadata') } },
      { method: 'DELETE', path: `${maps}/d`, headers: { accept: form('PartialObjectMetadata') } },
      { method: 'DELETE', path: `${maps}/c`, headers: { accept: form('Table') } },
    ],
  },
  {
    name: 'columns of empty lists',
    requests: [
      ...lists.map((resource) => asked(at(resource), form('Table'))),
      ...['nodes', 'namespaces'].map((plural) => asked(`/api/v1/${plural}?labelSelector=none`, form('Table'))),
    ],
  },
  {
    name: 'media types',
    requests: [
      post(maps, map('a')),
      ...[
        'application/json',
        'application/yaml',
        'application/vnd.kubernetes.protobuf',
        'application/*',
        '*/*',
        'text/*',
        'text/html',
        '',
        'application/json;q=0.1,application/yaml;q=0.9',
        'application/cbor',
        'text/html,*/*;q=0.1',
        'application/json;as=Table',
        'application/json;stream=watch',
        'application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io',
        'application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
      ].flatMap((accept) => [asked(`${maps}/a`, accept), asked(maps, accept), asked(`${maps}/none`, accept)]),
      asked(`${maps}/a?pretty=true`, 'application/json'),
      ...['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'text/html'].map((accept) =>
        asked(`${maps}?watch=true&timeoutSeconds=1&resourceVersion=0`, accept, {
          frames: 1,
          compare: accept.includes('protobuf') ? ['status', 'type', 'body'] : ['status', 'type'],
        }),
      ),
      asked('/api/v1/services?fieldSelector=metadata.name%3Dkubernetes', 'application/vnd.kubernetes.protobuf', {
        compare: ['status', 'type'],
      }),
      asked(`${maps}?limit=1`, 'application/vnd.kubernetes.protobuf'),
      asked(maps, 'application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io'),
      { method: 'POST', path: maps, body: map('pb'), headers: { accept: 'application/vnd.kubernetes.protobuf' } },
      { method: 'DELETE', path: `${maps}/pb`, headers: { accept: 'application/vnd.kubernetes.protobuf' } },
    ],
  },
];
