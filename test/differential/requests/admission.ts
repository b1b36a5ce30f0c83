import { at, type Exchange, patch, post, put, type Scenario } from '../scenario.ts';

/** What admission fills in and refuses, and what roles let a user do. */
const pod = (name: string, spec: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
});
const withResources = (resources: object) => ({ containers: [{ name: 'c', image: 'i', resources }] });
const pods = at('pods');
const level = (labels: Record<string, string>): Exchange =>
  patch('merge', '/api/v1/namespaces/{ns}', {
    metadata: {
      labels: Object.fromEntries(Object.entries(labels).map(([k, v]) => [`pod-security.kubernetes.io/${k}`, v])),
    },
  });
const secure = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } };
const strict = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
const container = (securityContext: object, more: object = {}) => ({
  containers: [{ name: 'c', image: 'i', securityContext, ...more }],
});

const limits: Scenario = {
  name: 'limit ranges',
  requests: [
    post(at('limitranges'), {
      metadata: { name: 'l' },
      spec: {
        limits: [
          {
            type: 'Container',
            default: { cpu: '1' },
            defaultRequest: { memory: '64Mi' },
            max: { cpu: '2' },
            min: { cpu: '100m' },
          },
          { type: 'Pod', max: { memory: '1Gi' } },
          { type: 'PersistentVolumeClaim', max: { storage: '1Gi' }, min: { storage: '1Mi' } },
        ],
      },
    }),
    post(pods, pod('plain')),
    post(pods, pod('limited', withResources({ limits: { memory: '128Mi' } }))),
    post(pods, pod('large', withResources({ limits: { cpu: '3', memory: '128Mi' } }))),
    post(pods, pod('small', withResources({ requests: { cpu: '1m' }, limits: { memory: '128Mi' } }))),
    post(pods, pod('memory', withResources({ limits: { memory: '2Gi' } }))),
    post(at('persistentvolumeclaims'), {
      metadata: { name: 'c' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '2Gi' } } },
    }),
  ],
};
const quotas: Scenario = {
  name: 'quotas',
  requests: [
    post(at('resourcequotas'), {
      metadata: { name: 'q' },
      spec: {
        hard: {
          pods: '2',
          'requests.cpu': '1',
          'limits.memory': '1Gi',
          configmaps: '1',
          'count/leases.coordination.k8s.io': '1',
        },
      },
    }),
    patch('merge', at('resourcequotas', 'q', '/status'), {
      status: {
        hard: {
          pods: '2',
          'requests.cpu': '1',
          'limits.memory': '1Gi',
          configmaps: '1',
          'count/leases.coordination.k8s.io': '1',
        },
        used: {
          pods: '0',
          'requests.cpu': '0',
          'limits.memory': '0',
          configmaps: '0',
          'count/leases.coordination.k8s.io': '0',
        },
      },
    }),
    post(pods, pod('none')),
    post(pods, pod('a', withResources({ requests: { cpu: '600m' }, limits: { memory: '256Mi', cpu: '1' } }))),
    { path: at('resourcequotas', 'q'), only: 'status' },
    post(pods, pod('b', withResources({ requests: { cpu: '600m' }, limits: { memory: '1Gi' } }))),
    post(at('configmaps'), { metadata: { name: 'one' } }),
    post(at('configmaps'), { metadata: { name: 'two' } }),
    post(at('configmaps', '', '?dryRun=All'), { metadata: { name: 'two' } }),
    post(at('leases|coordination.k8s.io/v1'), { metadata: { name: 'one' } }),
    post(at('leases|coordination.k8s.io/v1'), { metadata: { name: 'two' } }),
    { path: at('resourcequotas', 'q'), only: 'status' },
  ],
};
const security: Scenario = {
  name: 'pod security',
  requests: [
    level({ enforce: 'what', 'warn-version': 'v2' }),
    level({ enforce: 'baseline', warn: 'restricted' }),
    post(pods, pod('plain')),
    post(pods, pod('host', { hostNetwork: true, hostPID: true, volumes: [{ name: 'v', hostPath: { path: '/' } }] })),
    post(pods, pod('privileged', container({ privileged: true, capabilities: { add: ['SYS_ADMIN', 'CHOWN'] } }))),
    post(
      pods,
      pod(
        'ports',
        container(
          {},
          { ports: [{ containerPort: 80, hostPort: 80 }], livenessProbe: { httpGet: { port: 80, host: 'h' } } },
        ),
      ),
    ),
    post(
      pods,
      pod('profiles', {
        securityContext: {
          seccompProfile: { type: 'Unconfined' },
          appArmorProfile: { type: 'Unconfined' },
          seLinuxOptions: { type: 'spc_t', user: 'u' },
          sysctls: [{ name: 'kernel.x', value: '1' }],
        },
      }),
    ),
    level({ enforce: 'restricted' }),
    // Upstream's admission sees the namespace through an informer: give it a second.
    { path: '/api/v1/namespaces?watch=1&timeoutSeconds=1', frames: 99, compare: ['status'] },
    post(pods, pod('free')),
    post(
      pods,
      pod('root', {
        securityContext: { ...secure, runAsUser: 0, runAsNonRoot: false },
        ...container({ ...strict, capabilities: { drop: ['ALL'], add: ['CHOWN'] } }),
      }),
    ),
    post(
      pods,
      pod('volumes', {
        securityContext: secure,
        ...container(strict),
        volumes: [{ name: 'v', nfs: { server: 's', path: '/p' } }],
      }),
    ),
    post(pods, pod('good', { securityContext: secure, ...container(strict), volumes: [{ name: 'v', emptyDir: {} }] })),
    post(at('replicationcontrollers'), {
      metadata: { name: 'rc' },
      spec: {
        selector: { a: 'b' },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    }),
  ],
};
const classes: Scenario = {
  name: 'priorities, tolerations and default classes',
  requests: [
    post(pods, pod('none', { priorityClassName: 'no-such-class' })),
    post(pods, pod('number', { priority: 5 })),
    post(pods, pod('system', { priorityClassName: 'system-cluster-critical' })),
    post(pods, pod('both', { priorityClassName: 'system-cluster-critical', priority: 7 })),
    post(pods, pod('policy', { priorityClassName: 'system-node-critical', preemptionPolicy: 'Never' })),
    post(
      pods,
      pod('tolerant', {
        tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' }],
      }),
    ),
    post(pods, pod('stranger', { serviceAccountName: 'nobody' })),
    post('/apis/storage.k8s.io/v1/storageclasses', {
      metadata: { name: '{ns}', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
      provisioner: 'p',
    }),
    post(at('persistentvolumeclaims'), {
      metadata: { name: 'c' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '2Gi' } } },
    }),
    { method: 'DELETE', path: '/apis/storage.k8s.io/v1/storageclasses/{ns}', compare: ['status'] },
  ],
};

const as = { 'impersonate-user': '{ns}-bob', 'impersonate-group': 'team' };
const roles = at('roles|rbac.authorization.k8s.io/v1');
const bindings = at('rolebindings|rbac.authorization.k8s.io/v1');
const rule = (resource: string, ...verbs: string[]) => ({ apiGroups: [''], resources: [resource], verbs });
const reviews = '/apis/authorization.k8s.io/v1';
const rights: Scenario = {
  name: 'roles and rights',
  requests: [
    { path: pods, headers: as },
    { path: '/api/v1/nodes/n', headers: as },
    { path: '/metrics', headers: as, compare: ['status', 'body'] },
    { path: '/healthz', headers: as },
    post(roles, {
      metadata: { name: 'r' },
      rules: [
        rule('pods', 'get', 'list'),
        rule('configmaps', '*'),
        { ...rule('secrets', 'get'), resourceNames: ['one'] },
        {
          apiGroups: ['rbac.authorization.k8s.io'],
          resources: ['roles', 'rolebindings'],
          verbs: ['*'].slice(1).concat('create', 'update', 'patch', 'get'),
        },
      ],
    }),
    post(bindings, {
      metadata: { name: 'b' },
      roleRef: { kind: 'Role', name: 'r' },
      subjects: [{ kind: 'User', name: '{ns}-bob' }],
    }),
    { path: pods, headers: as },
    { path: at('secrets', 'one'), headers: as },
    { path: at('secrets', 'two'), headers: as },
    { path: at('secrets'), headers: as },
    { path: '/api/v1/pods', headers: as },
    { method: 'DELETE', path: at('pods', 'x'), headers: as },
    { method: 'POST', path: roles, headers: as, body: { metadata: { name: 'mine' }, rules: [rule('pods', 'get')] } },
    {
      method: 'POST',
      path: roles,
      headers: as,
      body: { metadata: { name: 'more' }, rules: [rule('pods', 'get', 'delete'), rule('secrets', 'get')] },
    },
    {
      method: 'POST',
      path: bindings,
      headers: as,
      body: {
        metadata: { name: 'up' },
        roleRef: { kind: 'ClusterRole', name: 'system:node-problem-detector' },
        subjects: [],
      },
    },
    {
      method: 'POST',
      path: bindings,
      headers: as,
      body: { metadata: { name: 'none' }, roleRef: { kind: 'Role', name: 'no-such-role' } },
    },
    {
      method: 'POST',
      path: bindings,
      headers: as,
      body: { metadata: { name: 'ok' }, roleRef: { kind: 'Role', name: 'mine' } },
    },
    post(
      `${reviews}/selfsubjectaccessreviews`,
      {
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { verb: 'list', resource: 'pods', namespace: '{ns}' } },
      },
      as,
    ),
    post(
      `${reviews}/selfsubjectaccessreviews`,
      { kind: 'SelfSubjectAccessReview', spec: { resourceAttributes: { verb: 'list', resource: 'nodes' } } },
      as,
    ),
    post(`${reviews}/selfsubjectaccessreviews`, { kind: 'SelfSubjectAccessReview', spec: {} }, as),
    post(
      `${reviews}/selfsubjectaccessreviews`,
      { kind: 'SelfSubjectAccessReview', spec: { nonResourceAttributes: { path: '/api', verb: 'get' } } },
      as,
    ),
    post(`${reviews}/subjectaccessreviews`, {
      kind: 'SubjectAccessReview',
      spec: {
        user: '{ns}-bob',
        resourceAttributes: { verb: 'get', resource: 'secrets', name: 'one', namespace: '{ns}' },
      },
    }),
    post(`${reviews}/subjectaccessreviews`, {
      kind: 'SubjectAccessReview',
      spec: { user: 'x', groups: ['system:masters'], resourceAttributes: { verb: 'get', resource: 'x' } },
    }),
    post(`${reviews}/subjectaccessreviews`, { kind: 'SubjectAccessReview', spec: {} }),
    post(`${reviews}/namespaces/{ns}/localsubjectaccessreviews`, {
      kind: 'LocalSubjectAccessReview',
      spec: { user: '{ns}-bob', resourceAttributes: { verb: 'list', resource: 'pods', namespace: '{ns}' } },
    }),
    post(`${reviews}/namespaces/{ns}/localsubjectaccessreviews`, {
      kind: 'LocalSubjectAccessReview',
      spec: { user: 'x', resourceAttributes: { verb: 'list', resource: 'pods', namespace: 'other' } },
    }),
    { ...post(`${reviews}/selfsubjectrulesreviews`, { kind: 'SelfSubjectRulesReview', spec: {} }, as) },
    post('/apis/authentication.k8s.io/v1/selfsubjectreviews', { kind: 'SelfSubjectReview' }, as),
    post('/apis/authentication.k8s.io/v1/tokenreviews', { kind: 'TokenReview', spec: {} }),
    post('/apis/authentication.k8s.io/v1/tokenreviews', { kind: 'TokenReview', spec: { token: 'nonsense' } }),
    { path: '/api', headers: { 'impersonate-group': 'g' } },
    { path: pods, headers: { ...as, 'impersonate-extra-scopes': 'a', 'impersonate-uid': 'u' } },
    { method: 'GET', path: `${reviews}/selfsubjectaccessreviews` },
    put(`${roles}/r`, { metadata: { name: 'r' }, rules: [] }),
    { path: pods, headers: as },
  ],
};
const certificates: Scenario = {
  name: 'owners',
  requests: [
    post(at('configmaps'), { metadata: { name: 'owner' } }),
    post(at('configmaps'), {
      metadata: { name: 'child', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: 'x' }] },
    }),
    post(at('configmaps'), {
      metadata: { name: 'bad', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: '', uid: '' }] },
    }),
  ],
};
const parts: Scenario = {
  name: 'parts of pods',
  requests: [
    post(pods, pod('p', withResources({ requests: { cpu: '100m' } }))),
    { path: at('pods', 'p', '/ephemeralcontainers'), only: 'metadata.name' },
    patch('strategic', at('pods', 'p', '/ephemeralcontainers'), {
      spec: { ephemeralContainers: [{ name: 'd', image: 'i' }] },
    }),
    patch('strategic', at('pods', 'p', '/ephemeralcontainers'), {
      spec: {
        ephemeralContainers: [
          { name: 'c', image: 'i' },
          { name: 'e', targetContainerName: 'x', ports: [{ containerPort: 1 }] },
        ],
      },
    }),
    patch('merge', at('pods', 'p', '/ephemeralcontainers'), { spec: { ephemeralContainers: [] } }),
    patch('strategic', at('pods', 'p', '/resize'), {
      spec: { containers: [{ name: 'c', resources: { requests: { cpu: '200m' } } }] },
    }),
    patch('strategic', at('pods', 'p', '/resize'), {
      spec: { containers: [{ name: 'c', resources: { requests: { 'ephemeral-storage': '1Gi' } } }] },
    }),
    patch('strategic', at('pods', 'p', '/resize'), { metadata: { labels: { a: 'b' } } }),
    post(at('pods', 'p', '/eviction'), { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'other' } }),
    post(at('bindings'), { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n' } }),
    post(at('bindings'), { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n' } }),
    post(at('bindings'), { metadata: { name: 'none' }, target: { kind: 'Node', name: 'n' } }),
    post(at('pods', 'none', '/eviction'), { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'none' } }),
    { path: at('bindings') },
    { path: '/api/v1/componentstatuses/none' },
  ],
};
const runtimes = '/apis/node.k8s.io/v1/runtimeclasses';
const runtimeClasses: Scenario = {
  name: 'runtime classes',
  requests: [
    post(pods, pod('none', { runtimeClassName: '{ns}-none' })),
    post(pods, pod('stray', { overhead: { cpu: '1' } })),
    post(runtimes, { metadata: { name: '{ns}-plain' }, handler: 'h' }),
    post(runtimes, {
      metadata: { name: '{ns}-full' },
      handler: 'h',
      overhead: { podFixed: { cpu: '10m', memory: '1Gi' } },
      scheduling: { nodeSelector: { a: 'b' }, tolerations: [{ key: 'k', operator: 'Exists', effect: 'NoSchedule' }] },
    }),
    post(pods, pod('plain', { runtimeClassName: '{ns}-plain' })),
    post(pods, pod('full', { runtimeClassName: '{ns}-full' })),
    post(pods, pod('same', { runtimeClassName: '{ns}-full', overhead: { memory: '1024Mi', cpu: '0.01' } })),
    post(pods, pod('other', { runtimeClassName: '{ns}-full', overhead: { cpu: '1' } })),
    post(pods, pod('over', { runtimeClassName: '{ns}-plain', overhead: { cpu: '1' } })),
    post(pods, pod('conflict', { runtimeClassName: '{ns}-full', nodeSelector: { a: 'c' } })),
    post(
      pods,
      pod('merged', {
        runtimeClassName: '{ns}-full',
        nodeSelector: { x: 'y' },
        tolerations: [{ key: 'k', operator: 'Exists', effect: 'NoSchedule' }],
      }),
    ),
  ],
};
const expressionsOf = (...expressions: string[]) =>
  expressions.map((expression, at) => ({ name: `c${at}`, expression }));
const policyConstraints = {
  resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['*'], resources: ['configmaps'] }],
};
const registration = '/apis/admissionregistration.k8s.io/v1';
/** Only what is told when they are written: upstream puts them to use some time later. */
const expressions: Scenario = {
  name: 'expressions of webhooks and policies',
  requests: [
    ...['validating', 'mutating'].map((sort) =>
      post(`${registration}/${sort}webhookconfigurations?dryRun=All`, {
        metadata: { name: '{ns}' },
        webhooks: [
          {
            name: 'a.b.c',
            clientConfig: { url: 'https://127.0.0.1:1' },
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
            matchConditions: expressionsOf('object.x', 'foo.bar == 1', '1', 'request.nope == 1', 'params == 1', 'true'),
          },
        ],
      }),
    ),
    post(`${registration}/validatingadmissionpolicies?dryRun=All`, {
      metadata: { name: '{ns}' },
      spec: {
        matchConstraints: policyConstraints,
        matchConditions: expressionsOf('variables.v == 1'),
        variables: [
          { name: 'v', expression: '1' },
          { name: 'w', expression: 'variables.v + "x"' },
        ],
        validations: [
          { expression: 'variables.v == "x"' },
          { expression: 'object.x', message: 'a\nb' },
          { expression: 'true', messageExpression: '1', reason: 'Odd' },
          { expression: 'true', messageExpression: 'authorizer.path("/x").check("get").reason()' },
          { expression: 'authorizer.requestResource.check("get").allowed()', message: ' ' },
          { expression: 'params.x == 1' },
        ],
        auditAnnotations: [{ key: 'k', valueExpression: '1' }],
      },
    }),
    post(`${registration}/mutatingadmissionpolicies?dryRun=All`, {
      metadata: { name: '{ns}' },
      spec: {
        reinvocationPolicy: 'Never',
        matchConstraints: {
          ...policyConstraints,
          resourceRules: [{ ...policyConstraints.resourceRules[0], operations: ['CREATE'] }],
        },
        mutations: [
          { patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'object' } },
          { patchType: 'ApplyConfiguration', jsonPatch: { expression: '[]' } },
          { patchType: 'JSONPatch', jsonPatch: { expression: '[1]' } },
          {
            patchType: 'JSONPatch',
            jsonPatch: { expression: '[JSONPatch{op: "add", path: jsonpatch.escapeKey("a/b")}]' },
          },
          { patchType: 'Odd' },
          {},
        ],
      },
    }),
  ],
};
const projected = (name: string, source: object): Exchange =>
  post(pods, pod(name, { volumes: [{ name: 'v', projected: { sources: [source] } }] }));
const certificateSources: Scenario = {
  name: 'projected certificates',
  requests: [
    projected('a', { clusterTrustBundle: { path: 'x' } }),
    projected('b', { clusterTrustBundle: { path: 'x', name: 'a', signerName: 'a.b/c' } }),
    projected('c', { clusterTrustBundle: { path: '../x', signerName: 'odd' } }),
    projected('d', { clusterTrustBundle: { name: 'a', labelSelector: { matchLabels: { a: 'b' } } } }),
    projected('e', { clusterTrustBundle: { path: 'x', name: 'a', optional: true } }),
    projected('f', { podCertificate: { signerName: 'a.b/c', keyType: 'ED25519' } }),
    projected('g', { podCertificate: { signerName: 'a.b/c', keyType: 'odd', keyPath: '/k', maxExpirationSeconds: 1 } }),
    projected('h', {
      podCertificate: { signerName: 'a.b/c', keyType: 'ED25519', keyPath: 'k', maxExpirationSeconds: 7862401 },
    }),
    projected('i', {
      podCertificate: { signerName: 'kubernetes.io/c', keyType: 'ED25519', keyPath: 'k', maxExpirationSeconds: 86401 },
    }),
    projected('j', { podCertificate: { signerName: 'a.b/c', keyType: 'ED25519', credentialBundlePath: 'c' } }),
  ],
};
const flow = '/apis/flowcontrol.apiserver.k8s.io/v1';
const flowControl: Scenario = {
  name: 'flow control that every cluster has',
  requests: [
    ...[
      'catch-all',
      'exempt',
      'global-default',
      'kube-controller-manager',
      'probes',
      'service-accounts',
      'system-nodes',
    ].flatMap((name): Exchange[] => [
      { path: `${flow}/flowschemas/${name}`, only: 'spec' },
      { path: `${flow}/flowschemas/${name}`, only: 'status' },
    ]),
    ...['catch-all', 'exempt', 'leader-election', 'node-high', 'workload-low'].map(
      (name): Exchange => ({ path: `${flow}/prioritylevelconfigurations/${name}`, only: 'spec' }),
    ),
  ],
};
export const admission: readonly Scenario[] = [
  parts,
  limits,
  quotas,
  security,
  classes,
  rights,
  certificates,
  runtimeClasses,
  expressions,
  flowControl,
  certificateSources,
];
