import { expect, test } from 'bun:test';
import type { KubeObject } from '#api';
import { createNodeUses } from './node-authorizer.ts';
import { createNodeRestriction, type NodeWrite } from './node-restriction.ts';

const mine = { metadata: { name: 'web', namespace: 'default' }, spec: { nodeName: 'n1', containers: [] } };
const { validate } = createNodeRestriction(createNodeUses((name) => (name === 'n1' ? [mine] : [])));
const user = { name: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] };

function verdict(resource: string, operation: NodeWrite['operation'], change: Partial<NodeWrite>): string {
  const [plural = '', ...group] = resource.split('.');
  const [name = '', subresource = ''] = plural.split('/');
  try {
    const info = { group: group.join('.'), resource: name };
    validate({ user, operation, info, subresource, namespace: '', name: '', ...change });
    return 'allowed';
  } catch (error) {
    return (error as Error).message;
  }
}
const node = (name: string, metadata: object = {}, spec: object = {}): KubeObject =>
  ({ metadata: { name, ...metadata }, spec }) as KubeObject;
const token = (boundObjectRef?: object): KubeObject => ({ metadata: {}, spec: { boundObjectRef } }) as KubeObject;

const certificate = (nodeName: string, podName: string) =>
  ({ metadata: { name: 'c' }, spec: { nodeName, podName } }) as unknown as KubeObject;
const table: [resource: string, operation: NodeWrite['operation'], change: Partial<NodeWrite>, answer: string][] = [
  ['nodes', 'CREATE', { object: node('n1') }, 'allowed'],
  ['nodes', 'CREATE', { object: node('n2') }, 'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"'],
  [
    'nodes/status',
    'UPDATE',
    { name: 'n1', object: node('n1', { labels: { zone: 'a' } }), current: node('n1') },
    'allowed',
  ],
  [
    'nodes/status',
    'UPDATE',
    { name: 'n1', object: node('n1', { labels: { 'a.node-restriction.kubernetes.io/x': '1' } }), current: node('n1') },
    'nodes "n1" is forbidden: is not allowed to modify labels: a.node-restriction.kubernetes.io/x',
  ],
  [
    'nodes',
    'UPDATE',
    {
      name: 'n1',
      object: node('n1', { labels: { 'node-role.kubernetes.io/control-plane': '', 'a.k8s.io/b': '1', zone: 'a' } }),
      current: node('n1', { labels: { 'kubernetes.io/role': 'x', 'beta.kubernetes.io/os': 'linux' } }),
    },
    'nodes "n1" is forbidden: is not allowed to modify labels: a.k8s.io/b, kubernetes.io/role, node-role.kubernetes.io/control-plane',
  ],
  [
    'nodes',
    'UPDATE',
    {
      name: 'n1',
      object: node('n1', { labels: { 'x.node.kubernetes.io/a': '1', 'kubelet.kubernetes.io/b': '', 'k8s.io': '' } }),
      current: node('n1', { labels: { 'node-role.kubernetes.io/worker': '' } }),
    },
    'nodes "n1" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/worker',
  ],
  [
    'nodes',
    'CREATE',
    {
      object: node('n1', {
        labels: {
          'kubernetes.io/hostname': 'n1',
          'node-role.kubernetes.io/x': '',
          'node-restriction.kubernetes.io/y': '',
        },
      }),
    },
    'nodes "n1" is forbidden: node "n1" is not allowed to set the following labels: node-restriction.kubernetes.io/y, node-role.kubernetes.io/x',
  ],
  [
    'nodes',
    'CREATE',
    { object: node('n1', { labels: { 'topology.kubernetes.io/zone': 'a' } }, { taints: [{}] }) },
    'allowed',
  ],
  [
    'nodes',
    'CREATE',
    { object: node('n1', {}, { configSource: {} }) },
    'nodes "n1" is forbidden: node "n1" is not allowed to create pods with a non-nil configSource',
  ],
  [
    'nodes',
    'UPDATE',
    { name: 'n1', object: node('n1', { ownerReferences: [{}] }), current: node('n1') },
    'nodes "n1" is forbidden: node "n1" is not allowed to modify ownerReferences',
  ],
  [
    'nodes',
    'UPDATE',
    { name: 'n1', object: node('n1'), current: node('n1', {}, { taints: [{}] }) },
    'nodes "n1" is forbidden: node "n1" is not allowed to modify taints',
  ],
  ['pods/status', 'UPDATE', { name: 'web', object: mine, current: mine }, 'allowed'],
  [
    'pods',
    'DELETE',
    { name: 'x', current: { ...mine, spec: { nodeName: 'n2' } } as KubeObject },
    'pods "x" is forbidden: node "n1" can only change pods with spec.nodeName set to itself',
  ],
  ['leases.coordination.k8s.io', 'CREATE', { namespace: 'kube-node-lease', object: node('n1') }, 'allowed'],
  [
    'leases.coordination.k8s.io',
    'CREATE',
    { namespace: 'kube-node-lease', object: node('n2') },
    'leases.coordination.k8s.io "n2" is forbidden: can only access node lease with the same name as the requesting node',
  ],
  [
    'serviceaccounts/token',
    'CREATE',
    { namespace: 'default', name: 'app', object: token() },
    'serviceaccounts "app" is forbidden: node requested token not bound to a pod',
  ],
  [
    'serviceaccounts/token',
    'CREATE',
    { namespace: 'default', name: 'app', object: token({ kind: 'Pod', apiVersion: 'v1', name: 'web', uid: 'u' }) },
    'allowed',
  ],
  [
    'serviceaccounts/token',
    'CREATE',
    { namespace: 'other', name: 'app', object: token({ kind: 'Pod', apiVersion: 'v1', name: 'web', uid: 'u' }) },
    'serviceaccounts "app" is forbidden: node requested token bound to a pod scheduled on a different node',
  ],
  [
    'podcertificaterequests.certificates.k8s.io',
    'CREATE',
    { namespace: 'default', object: certificate('n1', 'web') },
    'allowed',
  ],
  [
    'podcertificaterequests.certificates.k8s.io',
    'CREATE',
    { namespace: 'default', object: certificate('n2', 'web') },
    'podcertificaterequests.certificates.k8s.io "c" is forbidden: PodCertificateRequest.Spec.NodeName="n2", which is not the requesting node "n1"',
  ],
  [
    'podcertificaterequests.certificates.k8s.io',
    'CREATE',
    { namespace: 'default', object: certificate('n1', 'other') },
    'podcertificaterequests.certificates.k8s.io "c" is forbidden: Pod is not running on requesting node "n1"',
  ],
  ['events', 'CREATE', { namespace: 'default', object: node('anything') }, 'allowed'],
];
for (const [resource, operation, change, answer] of table)
  test(`${operation} ${resource}: ${answer}`, () => expect(verdict(resource, operation, change)).toBe(answer));

test('nobody but a node is looked at', () => {
  expect(verdict('nodes', 'CREATE', { object: node('n2'), user: { name: 'admin', groups: [] } })).toBe('allowed');
});
