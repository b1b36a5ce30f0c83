import { expect, test } from 'bun:test';
import type { Pod } from '#api';
import type { UserInfo } from '#sdk';
import { type Attributes, anonymousUser, forbidden } from './attributes.ts';
import { createAuthorizer } from './authorizer.ts';
import { bootstrapPolicy } from './bootstrap-policy.ts';
import { createNodeUses } from './node-authorizer.ts';
import { policyReader } from './rbac/policy-reader.ts';

const user = (name: string, ...groups: string[]): UserInfo => ({ name, groups: [...groups, 'system:authenticated'] });
const admin = user('admin', 'system:masters');
const scheduler = user('system:kube-scheduler');
const manager = user('system:kube-controller-manager');
const proxy = user('system:kube-proxy');
const node = user('system:node:n1', 'system:nodes');
const account = user('system:serviceaccount:default:app', 'system:serviceaccounts');

const pod: Pod = {
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    nodeName: 'n1',
    serviceAccountName: 'app',
    imagePullSecrets: [{ name: 'pull' }],
    containers: [
      {
        name: 'c',
        envFrom: [{ configMapRef: { name: 'settings' } }],
        env: [{ name: 'P', valueFrom: { secretKeyRef: { name: 'password', key: 'p' } } }],
      },
    ],
    volumes: [
      { name: 'v', projected: { sources: [{ configMap: { name: 'kube-root-ca.crt' } }] } },
      { name: 'd', csi: { driver: 'd.example.com', nodePublishSecretRef: { name: 'disk' } } },
    ],
  },
};
const authorizer = createAuthorizer({ nodeUses: createNodeUses((nodeName) => (nodeName === 'n1' ? [pod] : [])) });
authorizer.bind(policyReader(bootstrapPolicy()));

/** `verb resource[/subresource][.group] [namespace/][name][?fieldSelector]`, or `verb /path`. */
function attributesOf(text: string): Attributes {
  const [verb, what, where = ''] = text.split(' ') as [string, string, string?];
  const none = { group: '', version: 'v1', resource: '', subresource: '', namespace: '', name: '', path: '' };
  if (what.startsWith('/')) return { ...none, verb, path: what, isResource: false };
  const [plural, ...group] = what.split('.');
  const [resource = '', subresource = ''] = plural!.split('/');
  const [place = '', fieldSelector] = where.split('?');
  const [namespace = '', name = ''] = place.includes('/') ? place.split('/') : ['', place];
  return {
    ...none,
    verb,
    group: group.join('.'),
    resource,
    subresource,
    namespace,
    name,
    fieldSelector,
    isResource: true,
  };
}

const table: readonly [who: UserInfo, allowed: boolean, ...requests: string[]][] = [
  [admin, true, 'delete nodes n1', 'get secrets default/x', 'post /debug', 'create pods/exec default/web'],
  [scheduler, true, 'watch pods', 'list nodes', 'create pods/binding default/web', 'patch pods/status default/web'],
  [scheduler, true, 'create events default/', 'update leases.coordination.k8s.io kube-system/kube-scheduler'],
  [
    scheduler,
    false,
    'get secrets default/x',
    'update nodes n1',
    'create pods default/',
    'update leases.coordination.k8s.io a/b',
  ],
  [
    manager,
    true,
    'create pods default/',
    'update replicationcontrollers/status default/x',
    'update namespaces/finalize x',
  ],
  [manager, true, 'list widgets.example.com', 'deletecollection widgets.example.com default/', 'patch nodes/status n1'],
  [
    manager,
    true,
    'create endpointslices.discovery.k8s.io default/',
    'create configmaps default/',
    'get services/status a/b',
  ],
  [
    manager,
    false,
    'create pods/exec default/web',
    'create clusterroles.rbac.authorization.k8s.io',
    'create pods/portforward default/web',
  ],
  [manager, false, 'create nodes', 'post /debug', 'create nodes/proxy n1', 'impersonate users admin'],
  [proxy, true, 'watch services', 'list endpointslices.discovery.k8s.io', 'get nodes n1', 'create events default/'],
  [proxy, false, 'list pods', 'get secrets default/x', 'update services default/x'],
  [
    node,
    true,
    'list pods ?spec.nodeName=n1',
    'watch pods ?spec.nodeName=n1',
    'get pods default/web',
    'delete pods default/web',
  ],
  // Whose pod it is, admission says; for one that is gone the answer must be 404.
  [node, true, 'patch pods/status default/gone', 'delete pods default/gone'],
  [
    node,
    true,
    'patch pods/status default/web',
    'get nodes n1',
    'create nodes',
    'patch nodes/status n1',
    'list nodes ?metadata.name=n1',
  ],
  [
    node,
    true,
    'update leases.coordination.k8s.io kube-node-lease/n1',
    'create leases.coordination.k8s.io kube-node-lease/',
  ],
  [
    node,
    true,
    'get secrets default/pull',
    'get secrets default/password',
    'get secrets default/disk',
    'watch configmaps default/?metadata.name=settings',
  ],
  [node, true, 'get configmaps default/kube-root-ca.crt', 'create serviceaccounts/token default/app', 'watch services'],
  [node, false, 'list pods', 'list pods ?spec.nodeName=n2', 'list pods ?spec.nodeName!=n1', 'get pods default/other'],
  [
    node,
    false,
    'get secrets default/other',
    'get secrets kube-system/password',
    'list secrets',
    'list secrets default/',
  ],
  [
    node,
    false,
    'update secrets default/pull',
    'get configmaps default/password',
    'create serviceaccounts/token default/admin',
  ],
  [
    node,
    false,
    'get nodes n2',
    'list nodes',
    'delete nodes n1',
    'patch nodes/status n2',
    'create pods/exec default/web',
  ],
  [
    node,
    false,
    'update leases.coordination.k8s.io kube-node-lease/n2',
    'get leases.coordination.k8s.io kube-system/n1',
  ],
  [
    node,
    false,
    'create pods default/',
    'create pods/binding default/web',
    'update pods default/web',
    'get nodes/proxy n1',
  ],
  [user('system:node:n1'), false, 'list pods ?spec.nodeName=n1', 'get nodes n1'],
  [account, true, 'get /api', 'get /apis/apps/v1', 'get /openapi/v3', 'get /version', 'get /readyz'],
  [
    account,
    true,
    'create selfsubjectreviews.authentication.k8s.io',
    'create selfsubjectaccessreviews.authorization.k8s.io',
  ],
  [
    account,
    false,
    'list pods default/',
    'get secrets default/x',
    'post /api',
    'get /metrics',
    'create tokenreviews.authentication.k8s.io',
  ],
  [user('__proto__'), false, 'list pods'],
  [user('constructor'), false, 'list pods'],
  [anonymousUser, true, 'get /healthz', 'get /livez', 'get /readyz', 'get /version', 'get /openid/v1/jwks'],
  [anonymousUser, true, 'get /.well-known/openid-configuration'],
  [anonymousUser, false, 'get /api', 'get /openapi/v3', 'list pods', 'post /healthz', 'get /healthzz'],
];

for (const [who, allowed, ...requests] of table)
  test(`${who.name} ${allowed ? 'may' : 'may not'}: ${requests.join(', ')}`, () => {
    for (const request of requests)
      expect([request, authorizer.authorize(who, attributesOf(request)).allowed]).toEqual([request, allowed]);
  });

test('the refusal is worded as clients know it', () => {
  const message = (who: string, request: string, reason?: string) =>
    forbidden(user(who), attributesOf(request), reason).message;
  expect(message('x', 'list pods default/')).toBe(
    'pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default"',
  );
  expect(message('x', 'get leases.coordination.k8s.io a/b', 'why')).toBe(
    'leases.coordination.k8s.io "b" is forbidden: User "x" cannot get resource "leases" in API group "coordination.k8s.io" in the namespace "a": why',
  );
  expect(message('x', 'patch nodes/status n1')).toBe(
    'nodes "n1" is forbidden: User "x" cannot patch resource "nodes/status" in API group "" at the cluster scope',
  );
  expect(message('x', 'get /metrics')).toBe('forbidden: User "x" cannot get path "/metrics"');
});
