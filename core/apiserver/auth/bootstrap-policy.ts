import type { ClusterRole, ClusterRoleBinding, KubeObject, PolicyRule, RoleBinding } from '#api';
import { enrollmentPaths } from '../enrollment/paths.ts';
import { nodesGroup } from './attributes.ts';

export type PolicyObject = KubeObject & {
  rules?: PolicyRule[];
  aggregationRule?: ClusterRole['aggregationRule'];
  roleRef?: RoleBinding['roleRef'];
  subjects?: ClusterRoleBinding['subjects'];
};
const marks = {
  annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' },
} as const;

/** Upstream runs each controller under an account of its own; ours share one identity, which holds what these hold. */
const controllerRoles = [
  'certificate-controller',
  'clusterrole-aggregation-controller',
  'deployment-controller', // workload controllers of the distribution run in the same process
  'disruption-controller',
  'endpoint-controller',
  'endpointslice-controller',
  'endpointslicemirroring-controller',
  'generic-garbage-collector',
  'namespace-controller',
  'node-controller',
  'pod-garbage-collector',
  'replicaset-controller',
  'replication-controller',
  'resourcequota-controller',
  'root-ca-cert-publisher',
  'service-account-controller',
  'service-cidrs-controller',
  'storage-version-migrator-controller',
  'ttl-controller',
];
/** What our controllers do beyond that: the election, events under names of their own, tokens for host processes. */
const moreRules: readonly PolicyRule[] = [
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['create', 'get', 'list', 'watch', 'update', 'patch'],
  },
  { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'update', 'patch'] },
  { apiGroups: [''], resources: ['serviceaccounts/token', 'pods/eviction'], verbs: ['create'] },
  { apiGroups: [''], resources: ['namespaces/finalize', 'namespaces/status'], verbs: ['update', 'patch'] },
  { apiGroups: [''], resources: ['replicationcontrollers/scale'], verbs: ['get', 'update', 'patch'] },
  { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
  { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
  { apiGroups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions/status'], verbs: ['update'] },
  { apiGroups: ['policy'], resources: ['poddisruptionbudgets/status'], verbs: ['update', 'patch'] },
];

/** The roles and bindings of every cluster: upstream's, and one role for our controllers. About 140 objects. */
export function bootstrapPolicy(): PolicyObject[] {
  const { items } = require('./gen/policy.json') as { items: readonly PolicyObject[] };
  const names = new Set(controllerRoles.map((name) => `system:controller:${name}`));
  const held = items.filter(({ kind, metadata }) => kind === 'ClusterRole' && names.has(metadata.name ?? ''));
  const name = 'system:pintle:controllers';
  const ours: PolicyObject[] = [
    { kind: 'ClusterRole', metadata: { name }, rules: [...held.flatMap((role) => role.rules ?? []), ...moreRules] },
    {
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'system:kube-controller-manager' }],
    },
  ];
  const issuer = 'system:pintle:issuer-discovery';
  const discovery: PolicyObject[] = [
    {
      kind: 'ClusterRoleBinding',
      metadata: { name: issuer },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'ClusterRole',
        name: 'system:service-account-issuer-discovery',
      },
      // Who checks a token need not have one.
      subjects: ['system:authenticated', 'system:unauthenticated'].map((group) => ({
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'Group',
        name: group,
      })),
    },
  ];
  return [...items, ...ours, ...discovery, ...enrollment()].map((item) => ({
    ...item,
    apiVersion: 'rbac.authorization.k8s.io/v1',
    metadata: {
      ...item.metadata,
      annotations: { ...marks.annotations },
      labels: { ...marks.labels, ...item.metadata.labels },
    },
  }));
}

/** Hosts that join prove themselves in the body; what a joined one is told is for nodes alone. */
function enrollment(): PolicyObject[] {
  const { authority, join, tokens, settings, certificate, tunnel } = enrollmentPaths;
  const granted = (name: string, rules: PolicyRule[], groups: readonly string[]): PolicyObject[] => [
    { kind: 'ClusterRole', metadata: { name }, rules },
    {
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: groups.map((group) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: group })),
    },
  ];
  return [
    ...granted(
      'system:pintle:joining',
      [
        { nonResourceURLs: [authority], verbs: ['get'] },
        { nonResourceURLs: [join, tokens], verbs: ['post'] },
      ],
      ['system:authenticated', 'system:unauthenticated'],
    ),
    ...granted(
      'system:pintle:joined',
      [
        { nonResourceURLs: [settings, tunnel], verbs: ['get'] },
        { nonResourceURLs: [certificate], verbs: ['post'] },
      ],
      [nodesGroup],
    ),
  ];
}
