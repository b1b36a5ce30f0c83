import type { Attributes } from './attributes.ts';

/** A written permission. `*` stands for every group, or every resource without its subresources. */
export interface Rule {
  readonly verbs: readonly string[];
  readonly groups: readonly string[];
  /** Plurals; a subresource is `pods/status`. */
  readonly resources: readonly string[];
  readonly names?: readonly string[];
}
export interface PathRule {
  readonly verbs: readonly string[];
  /** Exact, or with a trailing `*` everything that starts so. */
  readonly paths: readonly string[];
}

const read = ['get', 'list', 'watch'];
const events: Rule = { verbs: ['create', 'update', 'patch'], groups: ['', 'events.k8s.io'], resources: ['events'] };
const election = (name: string): Rule[] => [
  { verbs: ['create'], groups: ['coordination.k8s.io'], resources: ['leases'] },
  { verbs: [...read, 'update', 'patch'], groups: ['coordination.k8s.io'], resources: ['leases'], names: [name] },
];

/** Each component's positive list, by user name. What is not here is refused. */
export const componentRules: Readonly<Record<string, readonly Rule[]>> = {
  'system:kube-scheduler': [
    events,
    ...election('kube-scheduler'),
    { verbs: read, groups: [''], resources: ['nodes', 'namespaces', 'services', 'replicationcontrollers'] },
    { verbs: read, groups: [''], resources: ['persistentvolumeclaims', 'persistentvolumes'] },
    { verbs: read, groups: ['apps'], resources: ['replicasets', 'statefulsets'] },
    { verbs: read, groups: ['policy'], resources: ['poddisruptionbudgets'] },
    { verbs: read, groups: ['scheduling.k8s.io'], resources: ['priorityclasses'] },
    { verbs: read, groups: ['storage.k8s.io'], resources: ['csinodes', 'csidrivers', 'storageclasses'] },
    { verbs: [...read, 'delete'], groups: [''], resources: ['pods'] },
    { verbs: ['create'], groups: [''], resources: ['pods/binding', 'bindings'] },
    { verbs: ['update', 'patch'], groups: [''], resources: ['pods/status'] },
  ],
  'system:kube-controller-manager': [
    events,
    ...election('kube-controller-manager'),
    // Garbage collection and namespace deletion read and remove objects of every kind, custom ones included.
    { verbs: [...read, 'update', 'patch', 'delete', 'deletecollection'], groups: ['*'], resources: ['*'] },
    { verbs: ['create'], groups: [''], resources: ['pods', 'endpoints', 'serviceaccounts', 'configmaps', 'secrets'] },
    { verbs: ['create'], groups: ['discovery.k8s.io'], resources: ['endpointslices'] },
    { verbs: ['create'], groups: [''], resources: ['endpoints/restricted', 'serviceaccounts/token', 'pods/eviction'] },
    { verbs: ['create'], groups: ['discovery.k8s.io'], resources: ['endpointslices/restricted'] },
    {
      verbs: ['get', 'update', 'patch'],
      groups: [''],
      resources: [
        'pods/status',
        'nodes/status',
        'services/status',
        'namespaces/status',
        'namespaces/finalize',
        'replicationcontrollers/status',
        'replicationcontrollers/scale',
        'pods/finalizers',
        'services/finalizers',
        'replicationcontrollers/finalizers',
      ],
    },
    { verbs: ['create'], groups: ['authentication.k8s.io'], resources: ['tokenreviews'] },
    { verbs: ['create'], groups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'] },
  ],
  'system:kube-proxy': [
    events,
    { verbs: read, groups: [''], resources: ['services', 'endpoints', 'nodes'] },
    { verbs: read, groups: ['discovery.k8s.io'], resources: ['endpointslices'] },
    { verbs: read, groups: ['networking.k8s.io'], resources: ['servicecidrs'] },
  ],
};

/** What a node may do that does not depend on which node it is. */
export const nodeRules: readonly Rule[] = [
  events,
  { verbs: read, groups: [''], resources: ['services'] },
  { verbs: read, groups: ['storage.k8s.io'], resources: ['csidrivers'] },
  { verbs: read, groups: ['node.k8s.io'], resources: ['runtimeclasses'] },
  { verbs: ['create'], groups: ['authentication.k8s.io'], resources: ['tokenreviews'] },
  {
    verbs: ['create'],
    groups: ['authorization.k8s.io'],
    resources: ['subjectaccessreviews', 'localsubjectaccessreviews'],
  },
];

/** Everybody who is known. */
export const authenticatedRules: readonly Rule[] = [
  {
    verbs: ['create'],
    groups: ['authorization.k8s.io'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
  },
  { verbs: ['create'], groups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
];
export const authenticatedPaths: readonly PathRule[] = [
  { verbs: ['get', 'head'], paths: ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*', '/version/'] },
];
/** Everybody, known or not. */
export const publicPaths: readonly PathRule[] = [
  {
    verbs: ['get', 'head'],
    paths: ['/healthz', '/healthz/*', '/livez', '/livez/*', '/readyz', '/readyz/*', '/version'],
  },
  { verbs: ['get', 'head'], paths: ['/.well-known/openid-configuration', '/openid/v1/jwks'] },
];

export function ruleAllows(rule: Rule, { verb, group, resource, subresource, name }: Attributes): boolean {
  const wanted = subresource ? `${resource}/${subresource}` : resource;
  return (
    rule.verbs.includes(verb) &&
    (rule.groups.includes(group) || rule.groups.includes('*')) &&
    (rule.resources.includes(wanted) || (rule.resources.includes('*') && !subresource)) &&
    (rule.names === undefined || rule.names.includes(name))
  );
}

export const pathRuleAllows = (rule: PathRule, { verb, path }: Attributes): boolean =>
  rule.verbs.includes(verb) &&
  rule.paths.some((pattern) => (pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern));
