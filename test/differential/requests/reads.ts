import { at, type Exchange, patch, post, remove, type Scenario } from '../scenario.ts';

const map = (name: string, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels },
  data: { n: name },
});
const maps = at('configmaps');
const five: readonly Exchange[] = ['a', 'b', 'c', 'd', 'e'].map((name) => post(maps, map(name, { l: name })));
const list = (query: string, more: Partial<Exchange> = {}): Exchange => ({ path: `${maps}?${query}`, ...more });
const watch = (query: string, frames: number, more: Partial<Exchange> = {}): Exchange =>
  list(`watch=true&${query}`, { frames, ...more });
const versions = ['', '&resourceVersion=0', '&resourceVersion={rv}', '&resourceVersion=1', '&resourceVersion=x'];
const matches = ['', '&resourceVersionMatch=Exact', '&resourceVersionMatch=NotOlderThan', '&resourceVersionMatch=Odd'];

/** Known and unknown ones, by collection. */
const selectable: Readonly<Record<string, readonly string[]>> = {
  '/api/v1/pods': [
    ...['spec.nodeName', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName', 'spec.hostNetwork'],
    ...['status.phase', 'status.podIP', 'status.podIPs', 'status.nominatedNodeName', 'status.hostIP', 'spec.hostPID'],
  ],
  '/api/v1/events': [
    ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
      (one) => `involvedObject.${one}`,
    ),
    ...['reason', 'reportingComponent', 'source', 'type', 'action', 'message', 'reportingController'],
  ],
  '/apis/events.k8s.io/v1/events': [
    ...['regarding.kind', 'regarding.name', 'reason', 'type', 'reportingController', 'involvedObject.name', 'note'],
  ],
  '/api/v1/replicationcontrollers': ['status.replicas', 'spec.replicas'],
  '/api/v1/services': ['spec.clusterIP', 'spec.type', 'spec.externalName'],
  '/api/v1/secrets': ['type', 'data'],
  '/api/v1/nodes': ['spec.unschedulable', 'spec.podCIDR', 'status.phase'],
  '/api/v1/namespaces': ['status.phase', 'name', 'spec.finalizers'],
  '/api/v1/persistentvolumes': ['name', 'spec.storageClassName', 'status.phase'],
  '/api/v1/persistentvolumeclaims': ['name', 'status.phase'],
  '/api/v1/resourcequotas': ['name', 'status.phase'],
  '/api/v1/serviceaccounts': ['name', 'metadata.uid'],
  '/api/v1/endpoints': ['name', 'subsets'],
  '/apis/certificates.k8s.io/v1/certificatesigningrequests': ['spec.signerName', 'spec.username'],
  '/apis/resource.k8s.io/v1/resourceslices': ['spec.nodeName', 'spec.driver', 'spec.pool.name'],
  '/apis/networking.k8s.io/v1/ipaddresses': ['spec.parentRef.name', 'metadata.name'],
  '/apis/rbac.authorization.k8s.io/v1/clusterroles': ['metadata.name', 'rules'],
  '/apis/coordination.k8s.io/v1/leases': ['metadata.name', 'spec.holderIdentity'],
  '/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas': ['metadata.name', 'spec.matchingPrecedence'],
  '/apis/storage.k8s.io/v1/volumeattachments': ['metadata.name', 'spec.nodeName'],
};

export const reads: readonly Scenario[] = [
  {
    name: 'lists in pages',
    requests: [
      ...five,
      list('limit=2', { keep: { token: 'metadata.continue', rv: 'metadata.resourceVersion' } }),
      list('limit=2&continue={token}', { keep: { token2: 'metadata.continue' } }),
      list('limit=2&continue={token2}'),
      list('continue={token}'),
      list('limit=5'),
      list('limit=6'),
      list('limit=0'),
      list('limit=-1'),
      list('limit=x'),
      list('limit=2&labelSelector=l!%3Da', { keep: { selected: 'metadata.continue' } }),
      list('limit=2&labelSelector=l!%3Da&continue={selected}'),
      list('limit=2&continue=nonsense'),
      list('limit=2&continue={token}&resourceVersion={rv}'),
      list('limit=2&continue={token}&resourceVersion=0'),
      list('limit=2&continue={token}&resourceVersionMatch=Exact'),
      list('limit=2&continue={token}&resourceVersion={rv}&resourceVersionMatch=NotOlderThan'),
      remove(at('configmaps', 'c')),
      list('limit=2&continue={token}'),
      list('limit=1&continue={token}', { keep: { past: 'metadata.continue' } }),
      list('limit=1&continue={past}'),
      list('limit=2&resourceVersion={rv}&resourceVersionMatch=Exact'),
      list('resourceVersion={rv}&resourceVersionMatch=Exact'),
      list('resourceVersion={rv}&resourceVersionMatch=NotOlderThan'),
    ],
  },
  {
    name: 'every combination of version and match in lists',
    requests: [
      ...five,
      list('limit=1', { keep: { rv: 'metadata.resourceVersion' }, compare: ['status'] }),
      ...versions
        .filter((version) => version !== '&resourceVersion=1')
        .flatMap((version) =>
          matches.flatMap((match) => ['', '&limit=2'].map((limit) => list(`x=1${version}${match}${limit}`))),
        ),
      list('sendInitialEvents=true'),
      list('sendInitialEvents=true&resourceVersionMatch=NotOlderThan'),
      list('resourceVersion=1'),
      { path: `${maps}/a?resourceVersion=0` },
      { path: `${maps}/a?resourceVersion={rv}` },
      { path: `${maps}/a?resourceVersion=x` },
      { path: `${maps}/a?resourceVersion=-1` },
    ],
  },
  {
    name: 'every combination of version and match in watches',
    requests: [
      ...five,
      list('limit=1', { keep: { rv: 'metadata.resourceVersion' }, compare: ['status'] }),
      ...versions
        .filter((version) => version !== '&resourceVersion=1')
        .flatMap((version) =>
          matches.flatMap((match) =>
            [
              '',
              '&sendInitialEvents=true',
              '&sendInitialEvents=false',
              '&sendInitialEvents=true&allowWatchBookmarks=true',
            ].map((initial) => watch(`timeoutSeconds=1${version}${match}${initial}`, 8)),
          ),
        ),
    ],
  },
  {
    name: 'events of a watch',
    requests: [
      post(maps, map('a', { l: 'a' })),
      list('limit=1', { keep: { rv: 'metadata.resourceVersion' } }),
      watch('resourceVersion={rv}&timeoutSeconds=2', 4, {
        meanwhile: [
          post(maps, map('b')),
          patch('merge', at('configmaps', 'b'), { data: { x: 'y' } }),
          remove(at('configmaps', 'b')),
          post(maps, map('c')),
        ],
      }),
      watch('resourceVersion={rv}&labelSelector=l%3Da&timeoutSeconds=2', 2, {
        meanwhile: [
          patch('merge', at('configmaps', 'a'), { metadata: { labels: { l: 'b' } } }),
          patch('merge', at('configmaps', 'a'), { metadata: { labels: { l: 'a' } } }),
        ],
      }),
      watch('resourceVersion={rv}&fieldSelector=metadata.name%3Dc&timeoutSeconds=2', 1),
      { path: '/api/v1/watch/namespaces/{ns}/configmaps?timeoutSeconds=1', frames: 2 },
      { path: '/api/v1/watch/namespaces/{ns}/configmaps/a?timeoutSeconds=1', frames: 1 },
      { path: `${maps}/a?watch=true&timeoutSeconds=1` },
      watch('resourceVersion=999999999999', 1),
      watch('timeoutSeconds=x', 1),
    ],
  },
  {
    name: 'selectors',
    requests: [
      ...five.slice(0, 3),
      ...[
        'labelSelector=l',
        'labelSelector=!l',
        'labelSelector=l%20in%20(a,b)',
        'labelSelector=l%20notin%20(a,b)',
        'labelSelector=l%3D%3Da',
        'labelSelector=l%3Da,l%3Db',
        'labelSelector=l%3E1',
        'labelSelector=l%20in%20',
        'labelSelector=l%20in%20()',
        'labelSelector=,',
        'labelSelector=bad%20key%20x',
        'labelSelector=l%3Dbad%20value',
        'labelSelector=-x%3Da',
        'labelSelector=l%3D%25',
        'fieldSelector=metadata.name%3Da',
        'fieldSelector=metadata.name!%3Da',
        'fieldSelector=metadata.name%3D%3Da',
        'fieldSelector=metadata.namespace%3D{ns}',
        'fieldSelector=metadata.namespace%3Dother',
        'fieldSelector=metadata.uid%3Dx',
        'fieldSelector=data.n%3Da',
        'fieldSelector=a',
        'fieldSelector=%3Da',
        'fieldSelector=metadata.name%3Da,metadata.name%3Db',
        'fieldSelector=metadata.name%3Da%5C',
      ].map((query) => list(query)),
      { path: '/api/v1/pods?fieldSelector=status.phase%3DRunning,spec.nodeName%3Dx' },
      { path: '/api/v1/pods?fieldSelector=spec.none%3Dx' },
      { path: '/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue' },
      { path: '/api/v1/nodes?fieldSelector=spec.none%3Dtrue' },
      { path: '/api/v1/events?fieldSelector=involvedObject.kind%3DPod,reason%3Dx,type%3DNormal,source%3Dx' },
      { path: '/api/v1/secrets?fieldSelector=type%3Dnone' },
      { path: '/api/v1/services?fieldSelector=spec.clusterIP%3Dx,spec.type%3Dnone' },
      { path: '/api/v1/namespaces?fieldSelector=status.phase%3Dnone' },
      { path: '/api/v1/namespaces?fieldSelector=spec.x%3Dnone' },
      { path: '/api/v1/replicationcontrollers?fieldSelector=status.replicas%3D7' },
      { path: '/apis/coordination.k8s.io/v1/leases?fieldSelector=spec.x%3D7' },
      { method: 'DELETE', path: `${maps}?fieldSelector=data.x%3D1` },
      { method: 'DELETE', path: `${maps}?labelSelector=l%3D%25` },
    ],
  },
  {
    name: 'fields to select by',
    requests: Object.entries(selectable).flatMap(([path, fields]) =>
      fields.map(
        (field) =>
          ({ path: `${path}?fieldSelector=${field}%3Dnone`, compare: ['status', 'body'] as const }) satisfies Exchange,
      ),
    ),
  },
];
