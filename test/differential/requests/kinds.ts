import { at, type Exchange, patch, post, put, remove, type Scenario } from '../scenario.ts';

/** One scenario for each kind: what is filled in, what is refused and how, what a table shows, what an update may change. */
interface Sample {
  /** `plural|group/version`, or `plural` for core. */
  readonly resource: string;
  readonly clusterWide?: boolean;
  readonly kind: string;
  /** Everything but kind, apiVersion and name. */
  readonly valid: object;
  /** Default `{ns}`. */
  readonly name?: string;
  /** Other valid ones. */
  readonly also?: readonly object[];
  readonly invalid?: readonly object[];
  /** Merge patches of the object. */
  readonly changes?: readonly object[];
  /** Merge patches of its status. */
  readonly status?: readonly object[];
}

export function scenarioOf(sample: Sample): Scenario {
  const { resource, kind, clusterWide, valid, name = '{ns}' } = sample;
  const [plural, group = 'v1'] = resource.split('|');
  const collection = clusterWide ? `${group === 'v1' ? '/api' : '/apis'}/${group}/${plural}` : at(resource);
  const object = (body: object, called = name) => {
    const { metadata, ...rest } = body as { metadata?: object };
    return { apiVersion: group, kind, metadata: { name: called, ...metadata }, ...rest };
  };
  const one = `${collection}/${name}`;
  const table = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
  return {
    name: `kind ${resource}`,
    requests: [
      post(collection, object(valid)),
      { path: one },
      { path: `${one}`, headers: table, only: 'rows.0.cells' },
      { path: one, headers: table, only: 'columnDefinitions' },
      ...(sample.also ?? []).map((body, index) => post(collection, object(body, `${name}-${index}`))),
      ...(sample.invalid ?? []).map((body) => post(`${collection}?dryRun=All`, object(body, `${name}-bad`))),
      ...(sample.changes ?? []).map((body) => patch('merge', one, body)),
      ...(sample.status ?? []).map((body) => patch('merge', `${one}/status`, body)),
      put(one, { apiVersion: group, kind, metadata: { name, labels: { a: 'b' } } }),
      remove(one),
    ],
  };
}

const rbac = 'rbac.authorization.k8s.io/v1';
const rule = { apiGroups: [''], resources: ['pods'], verbs: ['get'] };
const subject = { kind: 'User', name: 'bob' };
const roleRef = { kind: 'Role', name: 'r' };
const clusterRef = { kind: 'ClusterRole', name: 'view' };

const samples: readonly Sample[] = [
  {
    resource: `roles|${rbac}`,
    kind: 'Role',
    valid: { rules: [rule] },
    also: [{}, { rules: [{ ...rule, resourceNames: ['a'] }] }],
    invalid: [
      { rules: [{}] },
      { rules: [{ ...rule, verbs: [] }] },
      { rules: [{ nonResourceURLs: ['/x'], verbs: ['get'] }] },
      { rules: [{ ...rule, nonResourceURLs: ['/x'] }] },
    ],
    changes: [{ rules: [rule, rule] }],
  },
  {
    resource: `clusterroles|${rbac}`,
    clusterWide: true,
    kind: 'ClusterRole',
    valid: { rules: [rule, { nonResourceURLs: ['/x'], verbs: ['get'] }] },
    also: [{ aggregationRule: { clusterRoleSelectors: [{ matchLabels: { '{ns}': 'x' } }] } }],
    invalid: [
      { aggregationRule: {} },
      { aggregationRule: { clusterRoleSelectors: [{ matchExpressions: [{ key: 'a', operator: 'What' }] }] } },
      { rules: [{ ...rule, nonResourceURLs: ['/x'] }] },
      { rules: 'text' },
    ],
  },
  {
    resource: `rolebindings|${rbac}`,
    kind: 'RoleBinding',
    valid: { roleRef, subjects: [subject, { kind: 'Group', name: 'g' }, { kind: 'ServiceAccount', name: 's' }] },
    also: [{ roleRef: clusterRef }],
    invalid: [
      {},
      { roleRef: { kind: 'What', name: 'r' } },
      { roleRef: { kind: 'Role' } },
      { roleRef: { ...roleRef, apiGroup: 'x' } },
      { roleRef, subjects: [{ kind: 'What', name: 'x' }] },
      { roleRef, subjects: [{ kind: 'ServiceAccount', name: 'Not Valid' }] },
      { roleRef, subjects: [{ kind: 'ServiceAccount', name: 'a', apiGroup: 'b' }] },
      { roleRef, subjects: [{ kind: 'User' }] },
    ],
    changes: [{ roleRef: { name: 'other' } }, { subjects: null }],
  },
  {
    resource: `clusterrolebindings|${rbac}`,
    clusterWide: true,
    kind: 'ClusterRoleBinding',
    valid: { roleRef: clusterRef, subjects: [{ kind: 'ServiceAccount', name: 's', namespace: 'n' }] },
    invalid: [{ roleRef }, { roleRef: clusterRef, subjects: [{ kind: 'ServiceAccount', name: 's' }] }],
    changes: [{ roleRef: { name: 'other' } }],
  },
  {
    resource: 'priorityclasses|scheduling.k8s.io/v1',
    clusterWide: true,
    kind: 'PriorityClass',
    valid: { value: 100, description: 'd' },
    also: [{ value: -5, preemptionPolicy: 'Never' }],
    invalid: [{ value: 2000000000 }, { value: 1, preemptionPolicy: 'What' }, { value: 'x' }],
    changes: [{ value: 101 }, { preemptionPolicy: 'Never' }, { description: 'e' }],
  },
  {
    resource: 'priorityclasses|scheduling.k8s.io/v1',
    clusterWide: true,
    name: 'system-{ns}',
    kind: 'PriorityClass',
    valid: { value: 100 },
  },
  {
    resource: 'runtimeclasses|node.k8s.io/v1',
    clusterWide: true,
    kind: 'RuntimeClass',
    valid: { handler: 'runc', overhead: { podFixed: { cpu: '10m' } }, scheduling: { nodeSelector: { a: 'b' } } },
    invalid: [
      {},
      { handler: 'Not Valid' },
      { handler: 'a', overhead: { podFixed: { what: '1' } } },
      { handler: 'a', scheduling: { nodeSelector: { 'a b': 'c d' } } },
      { handler: 'a', scheduling: { tolerations: [{ operator: 'What' }] } },
    ],
    changes: [{ handler: 'other' }],
  },
  {
    resource: 'poddisruptionbudgets|policy/v1',
    kind: 'PodDisruptionBudget',
    valid: { spec: { minAvailable: 1, selector: { matchLabels: { a: 'b' } } } },
    also: [
      {},
      { spec: { maxUnavailable: '50%' } },
      { spec: { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' } },
    ],
    invalid: [
      { spec: { minAvailable: 1, maxUnavailable: 1 } },
      { spec: { minAvailable: -1 } },
      { spec: { minAvailable: '101%' } },
      { spec: { minAvailable: 'x' } },
      { spec: { unhealthyPodEvictionPolicy: 'What' } },
      { spec: { selector: { matchExpressions: [{ key: 'a', operator: 'In' }] } } },
    ],
    changes: [{ spec: { minAvailable: 2 } }],
    status: [
      { status: { disruptionsAllowed: 1, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 } },
      { status: { disruptionsAllowed: -1 } },
    ],
  },
  {
    resource: 'limitranges',
    kind: 'LimitRange',
    valid: {
      spec: { limits: [{ type: 'Container', max: { cpu: '2' }, min: { cpu: '100m' }, default: { memory: '1Gi' } }] },
    },
    also: [
      { spec: { limits: [{ type: 'Pod', max: { cpu: '2' } }] } },
      { spec: { limits: [{ type: 'PersistentVolumeClaim', max: { storage: '2Gi' } }] } },
      { spec: { limits: [{ type: 'Container' }] } },
    ],
    invalid: [
      {},
      { spec: { limits: [{ type: 'What' }] } },
      { spec: { limits: [{ type: 'Pod', default: { cpu: '1' } }] } },
      { spec: { limits: [{ type: 'PersistentVolumeClaim' }] } },
      { spec: { limits: [{ type: 'Container', max: { cpu: '1' }, min: { cpu: '2' } }] } },
      { spec: { limits: [{ type: 'Container', max: { cpu: '1' }, default: { cpu: '2' } }] } },
      { spec: { limits: [{ type: 'Container', maxLimitRequestRatio: { cpu: '0.5' } }] } },
      { spec: { limits: [{ type: 'Pod', max: { what: '1' } }] } },
      { spec: { limits: [{ type: 'Pod' }, { type: 'Pod' }] } },
    ],
  },
  {
    resource: 'resourcequotas',
    kind: 'ResourceQuota',
    valid: { spec: { hard: { pods: '5', 'limits.cpu': '2', 'requests.memory': '1Gi', 'count/secrets': '3' } } },
    also: [{}, { spec: { hard: { pods: '1' }, scopes: ['BestEffort'] } }],
    invalid: [
      { spec: { hard: { what: '5' } } },
      { spec: { hard: { pods: '1.5' } } },
      { spec: { hard: { pods: '-1' } } },
      { spec: { hard: { secrets: '1' }, scopes: ['BestEffort'] } },
      { spec: { scopes: ['What'] } },
      { spec: { scopes: ['BestEffort', 'NotBestEffort'] } },
      { spec: { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In' }] } } },
      { spec: { scopeSelector: { matchExpressions: [{ scopeName: 'BestEffort', operator: 'In', values: ['a'] }] } } },
    ],
    changes: [{ spec: { hard: { pods: '6' } } }, { spec: { scopes: ['BestEffort'] } }],
    status: [{ status: { hard: { pods: '6' }, used: { pods: '1' } } }],
  },
  {
    resource: 'persistentvolumes',
    clusterWide: true,
    kind: 'PersistentVolume',
    valid: { spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/tmp/x' } } },
    also: [
      {
        spec: {
          capacity: { storage: '1Gi' },
          accessModes: ['ReadWriteMany', 'ReadOnlyMany'],
          nfs: { server: 's', path: '/p' },
          storageClassName: 'c',
          persistentVolumeReclaimPolicy: 'Delete',
        },
      },
    ],
    invalid: [
      {},
      { spec: { accessModes: ['ReadWriteOnce'], hostPath: { path: '/x' } } },
      { spec: { capacity: { storage: '0' }, accessModes: ['What'], hostPath: { path: '/x' } } },
      { spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'] } },
      {
        spec: {
          capacity: { storage: '1Gi' },
          accessModes: ['ReadWriteOnce'],
          hostPath: { path: '/x' },
          nfs: { server: 's', path: '/p' },
        },
      },
      { spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], local: { path: '/x' } } },
      {
        spec: {
          capacity: { storage: '1Gi' },
          accessModes: ['ReadWriteOncePod', 'ReadWriteMany'],
          hostPath: { path: '/x' },
        },
      },
    ],
    status: [{ status: { phase: 'Available' } }],
  },
  {
    resource: 'persistentvolumeclaims',
    kind: 'PersistentVolumeClaim',
    valid: { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
    also: [
      { spec: { accessModes: ['ReadWriteOnce'], storageClassName: '', resources: { requests: { storage: '1Gi' } } } },
    ],
    invalid: [
      {},
      { spec: { accessModes: ['What'], resources: { requests: { storage: '1Gi' } } } },
      { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '0' } } } },
      {
        spec: {
          accessModes: ['ReadWriteOnce'],
          resources: { requests: { storage: '1' } },
          storageClassName: 'Not Valid',
        },
      },
      { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1' } }, volumeMode: 'What' } },
    ],
    changes: [{ spec: { volumeName: 'v' } }],
    status: [{ status: { phase: 'Bound', accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' } } }],
  },
  {
    resource: 'podtemplates',
    kind: 'PodTemplate',
    valid: { template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } } },
    invalid: [{}, { template: { spec: { containers: [] } } }],
    changes: [{ template: { metadata: { labels: { a: 'c' } } } }],
  },
  {
    resource: 'storageclasses|storage.k8s.io/v1',
    clusterWide: true,
    kind: 'StorageClass',
    valid: { provisioner: 'example.com/p', parameters: { a: 'b' } },
    also: [
      {
        provisioner: 'p',
        reclaimPolicy: 'Retain',
        volumeBindingMode: 'WaitForFirstConsumer',
        allowVolumeExpansion: true,
      },
    ],
    invalid: [
      {},
      { provisioner: 'Not Valid' },
      { provisioner: 'p', reclaimPolicy: 'What' },
      { provisioner: 'p', volumeBindingMode: 'What' },
      { provisioner: 'p', parameters: { '': 'x' } },
    ],
    changes: [{ provisioner: 'other' }, { reclaimPolicy: 'Retain' }, { allowVolumeExpansion: true }],
  },
  {
    resource: 'volumeattributesclasses|storage.k8s.io/v1',
    clusterWide: true,
    kind: 'VolumeAttributesClass',
    valid: { driverName: 'd.example.com', parameters: { a: 'b' } },
    invalid: [{}, { driverName: 'd' }],
    changes: [{ driverName: 'e' }],
  },
  {
    resource: 'csidrivers|storage.k8s.io/v1',
    clusterWide: true,
    kind: 'CSIDriver',
    valid: { spec: {} },
    also: [
      { spec: { attachRequired: false, tokenRequests: [{ audience: 'a' }], volumeLifecycleModes: ['Ephemeral'] } },
    ],
    invalid: [
      { spec: { fsGroupPolicy: 'What' } },
      { spec: { volumeLifecycleModes: ['What'] } },
      { spec: { tokenRequests: [{ audience: 'a' }, { audience: 'a' }] } },
      { spec: { tokenRequests: [{ audience: 'a', expirationSeconds: 5 }] } },
    ],
    changes: [{ spec: { attachRequired: false } }],
  },
  {
    resource: 'csinodes|storage.k8s.io/v1',
    clusterWide: true,
    kind: 'CSINode',
    valid: { spec: { drivers: [{ name: 'd.example.com', nodeID: 'n', topologyKeys: ['a'] }] } },
    invalid: [
      { spec: { drivers: [{ name: '', nodeID: '' }] } },
      {
        spec: {
          drivers: [
            { name: 'a', nodeID: 'n' },
            { name: 'a', nodeID: 'n' },
          ],
        },
      },
    ],
  },
  {
    resource: 'csistoragecapacities|storage.k8s.io/v1',
    kind: 'CSIStorageCapacity',
    valid: { storageClassName: 'c', capacity: '1Gi', nodeTopology: { matchLabels: { a: 'b' } } },
    invalid: [{}, { storageClassName: 'c', capacity: '-1' }],
    changes: [{ storageClassName: 'd' }],
  },
  {
    resource: 'volumeattachments|storage.k8s.io/v1',
    clusterWide: true,
    kind: 'VolumeAttachment',
    valid: { spec: { attacher: 'd.example.com', nodeName: 'n', source: { persistentVolumeName: 'v' } } },
    invalid: [{}, { spec: { attacher: 'd', nodeName: 'n', source: {} } }],
    changes: [{ spec: { nodeName: 'm' } }],
    status: [{ status: { attached: true } }],
  },
  {
    resource: 'ingresses|networking.k8s.io/v1',
    kind: 'Ingress',
    valid: {
      spec: {
        ingressClassName: 'c',
        rules: [
          {
            host: 'a.example.com',
            http: {
              paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 's', port: { number: 80 } } } }],
            },
          },
        ],
        tls: [{ hosts: ['a.example.com'], secretName: 't' }],
      },
    },
    also: [
      { spec: { defaultBackend: { service: { name: 's', port: { name: 'http' } } } } },
      { spec: { defaultBackend: { resource: { kind: 'K', name: 'n', apiGroup: 'g' } } } },
      {
        metadata: { annotations: { 'kubernetes.io/ingress.class': 'x' } },
        spec: { defaultBackend: { service: { name: 's', port: { name: 'http' } } } },
      },
    ],
    invalid: [
      {},
      { spec: { defaultBackend: {} } },
      { spec: { defaultBackend: { service: { name: 's', port: {} } } } },
      { spec: { defaultBackend: { service: { name: 's', port: { name: 'http', number: 80 } } } } },
      { spec: { rules: [{ host: '1.2.3.4' }] } },
      { spec: { rules: [{ host: '*' }] } },
      { spec: { rules: [{ host: 'Not Valid' }] } },
      { spec: { rules: [{ http: { paths: [] } }] } },
      { spec: { rules: [{ http: { paths: [{ path: 'x', backend: {} }] } }] } },
      { spec: { rules: [{ http: { paths: [{ path: 'x', pathType: 'Exact', backend: {} }] } }] } },
      { spec: { rules: [{ http: { paths: [{ path: '/a//b/..', pathType: 'Prefix', backend: {} }] } }] } },
      { spec: { rules: [{ http: { paths: [{ path: '/', pathType: 'What', backend: {} }] } }] } },
    ],
    changes: [{ spec: { ingressClassName: 'd' } }],
    status: [
      { status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { hostname: 'h.example.com' }] } } },
      { status: { loadBalancer: { ingress: [{ ip: 'x' }, { hostname: '1.2.3.4' }] } } },
    ],
  },
  {
    resource: 'ingressclasses|networking.k8s.io/v1',
    clusterWide: true,
    kind: 'IngressClass',
    valid: { spec: { controller: 'example.com/c', parameters: { kind: 'K', name: 'n', apiGroup: 'g' } } },
    invalid: [
      {},
      { spec: { controller: 'x' } },
      { spec: { controller: 'a.b/c', parameters: { kind: 'K', name: 'n', scope: 'Namespace' } } },
      { spec: { controller: 'a.b/c', parameters: { kind: 'K', name: 'n', scope: 'Cluster', namespace: 'x' } } },
      { spec: { controller: 'a.b/c', parameters: { scope: 'What' } } },
    ],
    changes: [{ spec: { controller: 'example.com/d' } }],
  },
  {
    resource: 'networkpolicies|networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    valid: {
      spec: {
        podSelector: { matchLabels: { a: 'b' } },
        ingress: [
          {
            from: [{ podSelector: {} }, { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }],
            ports: [{ port: 80 }],
          },
        ],
        egress: [{}],
      },
    },
    also: [{}, { spec: { podSelector: {} } }, { spec: { podSelector: {}, policyTypes: ['Egress'] } }],
    invalid: [
      { spec: { policyTypes: ['What'] } },
      { spec: { policyTypes: ['Ingress', 'Egress', 'Ingress'] } },
      { spec: { ingress: [{ from: [{}] }] } },
      { spec: { ingress: [{ from: [{ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }] }] } },
      {
        spec: {
          ingress: [{ from: [{ ipBlock: { cidr: 'x' } }, { ipBlock: {} }, { ipBlock: { cidr: '10.0.0.1/8' } }] }],
        },
      },
      { spec: { ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] } }] }] } },
      {
        spec: {
          ingress: [
            {
              ports: [
                { port: 99999 },
                { port: 'NOT VALID' },
                { endPort: 5 },
                { port: 10, endPort: 5 },
                { protocol: 'What' },
              ],
            },
          ],
        },
      },
      { spec: { podSelector: { matchLabels: { 'a b': 'c d' } } } },
    ],
    changes: [{ spec: { egress: null, policyTypes: ['Ingress'] } }],
  },
  {
    resource: 'servicecidrs|networking.k8s.io/v1',
    clusterWide: true,
    kind: 'ServiceCIDR',
    valid: { spec: { cidrs: ['10.99.0.0/24'] } },
    invalid: [
      {},
      { spec: { cidrs: ['x'] } },
      { spec: { cidrs: ['10.0.0.1/24'] } },
      { spec: { cidrs: ['10.0.0.0/24', '10.0.1.0/24'] } },
      { spec: { cidrs: ['2001:DB8::/64'] } },
    ],
    changes: [{ spec: { cidrs: ['10.98.0.0/24'] } }],
  },
  {
    resource: 'ipaddresses|networking.k8s.io/v1',
    clusterWide: true,
    name: '192.0.2.77',
    kind: 'IPAddress',
    valid: { spec: { parentRef: { resource: 'services', namespace: 'default', name: 's' } } },
    invalid: [{}],
    changes: [{ spec: { parentRef: { name: 't' } } }],
  },
  {
    resource: 'leases|coordination.k8s.io/v1',
    kind: 'Lease',
    valid: { spec: { holderIdentity: 'h', leaseDurationSeconds: 10 } },
    invalid: [
      { spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } },
      { spec: { preferredHolder: 'x' } },
      { spec: { strategy: 'What' } },
    ],
  },
  {
    resource: 'endpointslices|discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    valid: { addressType: 'IPv4', endpoints: [{ addresses: ['192.0.2.1'] }], ports: [{ port: 80 }] },
    invalid: [
      {},
      { addressType: 'What' },
      { addressType: 'IPv4', endpoints: [{}] },
      { addressType: 'IPv4', endpoints: [{ addresses: ['x'] }] },
    ],
  },
];

const moreSamples: readonly Sample[] = [
  {
    resource: 'certificatesigningrequests|certificates.k8s.io/v1',
    clusterWide: true,
    kind: 'CertificateSigningRequest',
    valid: {
      spec: {
        request:
          'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIUk1Ia0NBUUF3RnpFVk1CTUdBMVVFQXd3TVpHbG1abVZ5Wlc1MGFXRnNNRmt3RXdZSEtvWkl6ajBDQVFZSQpLb1pJemowREFRY0RRZ0FFNnFRaXo2K0xnZ1o3RFBGWUNUNnJVYnFPNlNuS2Yrc3MzZk5BOVdMZ1RPV1NRdCtHCnZ5RitxYjAwczFacGpDQnVTS0hkenN1RytZeFppU1RMOWtOUkFLQUFNQW9HQ0NxR1NNNDlCQU1DQTBnQU1FVUMKSVFDQS9IK2FOcVhQOHE3OURUeXErckVrdWJ5MDRLN3Z0ZkpGeDBhQlU5djhzQUlnYUJDSWwvaFUxTm5IMHcvSQpjNHI1Z1QwUFFJZlE5eloyTk5acDl5TU53MkU9Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=',
        signerName: 'example.com/signer',
        usages: ['client auth'],
      },
    },
    invalid: [{}, { spec: { request: 'eA==', signerName: 'x', usages: ['what'] } }],
  },
  {
    resource: 'mutatingwebhookconfigurations|admissionregistration.k8s.io/v1',
    clusterWide: true,
    kind: 'MutatingWebhookConfiguration',
    valid: {
      webhooks: [
        {
          name: 'a.example.com',
          clientConfig: { service: { name: 's', namespace: '{ns}' } },
          sideEffects: 'None',
          admissionReviewVersions: ['v1'],
          failurePolicy: 'Ignore',
          rules: [{ apiGroups: ['none.example.com'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['x'] }],
        },
      ],
    },
    also: [{}],
    invalid: [
      { webhooks: [{}] },
      {
        webhooks: [
          { name: 'a', clientConfig: {}, sideEffects: 'Some', admissionReviewVersions: ['v9'], timeoutSeconds: 99 },
        ],
      },
      {
        webhooks: [
          {
            name: 'a.b.c',
            clientConfig: { url: 'http://x?y=z#f' },
            sideEffects: 'None',
            admissionReviewVersions: ['v1', 'v1'],
            rules: [
              {
                operations: ['*', 'CREATE'],
                apiGroups: ['*', 'a'],
                apiVersions: [''],
                resources: ['*', 'pods', 'pods/*', 'pods/log'],
              },
            ],
          },
        ],
      },
    ],
    changes: [{ webhooks: null }],
  },
  {
    resource: 'validatingwebhookconfigurations|admissionregistration.k8s.io/v1',
    clusterWide: true,
    kind: 'ValidatingWebhookConfiguration',
    valid: {
      webhooks: [
        {
          name: 'a.example.com',
          clientConfig: { url: 'https://127.0.0.1:1/x' },
          sideEffects: 'None',
          admissionReviewVersions: ['v1'],
          failurePolicy: 'Ignore',
          rules: [{ apiGroups: ['none.example.com'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['x'] }],
        },
      ],
    },
    invalid: [{ webhooks: [{ name: 'a.b.c' }] }],
  },
  {
    resource: 'validatingadmissionpolicies|admissionregistration.k8s.io/v1',
    clusterWide: true,
    kind: 'ValidatingAdmissionPolicy',
    valid: {
      spec: {
        matchConstraints: {
          resourceRules: [
            { apiGroups: ['none.example.com'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['x'] },
          ],
        },
        validations: [{ expression: 'object.x == 1' }],
      },
    },
    invalid: [{}, { spec: { failurePolicy: 'What', matchConstraints: {}, validations: [{ expression: '' }] } }],
  },
  {
    resource: 'validatingadmissionpolicybindings|admissionregistration.k8s.io/v1',
    clusterWide: true,
    kind: 'ValidatingAdmissionPolicyBinding',
    valid: { spec: { policyName: 'none', validationActions: ['Deny'] } },
    invalid: [
      {},
      { spec: { policyName: 'none', validationActions: ['Deny', 'Warn'] } },
      { spec: { policyName: 'none', validationActions: ['What'], paramRef: {} } },
    ],
  },
  {
    resource: 'mutatingadmissionpolicies|admissionregistration.k8s.io/v1',
    clusterWide: true,
    kind: 'MutatingAdmissionPolicy',
    valid: {
      spec: {
        reinvocationPolicy: 'Never',
        matchConstraints: {
          resourceRules: [
            { apiGroups: ['none.example.com'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['x'] },
          ],
        },
        mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{}' } }],
      },
    },
    invalid: [{}],
  },
  {
    resource: 'mutatingadmissionpolicybindings|admissionregistration.k8s.io/v1',
    clusterWide: true,
    kind: 'MutatingAdmissionPolicyBinding',
    valid: { spec: { policyName: 'none' } },
    invalid: [{}],
  },
  {
    resource: 'flowschemas|flowcontrol.apiserver.k8s.io/v1',
    clusterWide: true,
    kind: 'FlowSchema',
    valid: {
      spec: {
        priorityLevelConfiguration: { name: 'none' },
        rules: [
          {
            subjects: [{ kind: 'User', user: { name: 'u' } }],
            nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/x'] }],
          },
        ],
      },
    },
    also: [{ spec: { priorityLevelConfiguration: { name: 'none' }, matchingPrecedence: 5 } }],
    invalid: [
      {},
      { spec: { priorityLevelConfiguration: { name: 'x' }, matchingPrecedence: 1 } },
      { spec: { priorityLevelConfiguration: { name: 'x' }, matchingPrecedence: 99999, rules: [{}] } },
      {
        spec: {
          priorityLevelConfiguration: { name: 'x' },
          rules: [{ subjects: [{ kind: 'What' }], resourceRules: [{ verbs: ['what'] }] }],
        },
      },
    ],
  },
  {
    resource: 'prioritylevelconfigurations|flowcontrol.apiserver.k8s.io/v1',
    clusterWide: true,
    kind: 'PriorityLevelConfiguration',
    valid: { spec: { type: 'Limited', limited: { limitResponse: { type: 'Queue', queuing: {} } } } },
    also: [{ spec: { type: 'Limited', limited: { limitResponse: { type: 'Reject' } } } }],
    invalid: [
      {},
      { spec: { type: 'What' } },
      { spec: { type: 'Limited' } },
      { spec: { type: 'Exempt' } },
      { spec: { type: 'Limited', limited: { limitResponse: { type: 'Queue' } } } },
      {
        spec: {
          type: 'Limited',
          limited: { limitResponse: { type: 'Queue', queuing: { handSize: 100, queues: 10 } } },
        },
      },
    ],
  },
  {
    resource: 'apiservices|apiregistration.k8s.io/v1',
    clusterWide: true,
    name: 'v1.{ns}.example.com',
    kind: 'APIService',
    valid: {
      spec: {
        group: '{ns}.example.com',
        version: 'v1',
        groupPriorityMinimum: 100,
        versionPriority: 10,
        service: { name: 's', namespace: 'none' },
        insecureSkipTLSVerify: true,
      },
    },
    invalid: [
      {},
      { spec: { group: 'g', version: 'v1', groupPriorityMinimum: 99999, versionPriority: 9999, caBundle: 'eA==' } },
    ],
  },
  {
    resource: 'storageversionmigrations|storagemigration.k8s.io/v1',
    clusterWide: true,
    kind: 'StorageVersionMigration',
    valid: { spec: { resource: { group: 'g', resource: 'things' } } },
    invalid: [{}, { spec: { resource: { group: 'Not Valid', resource: 'Not Valid' } } }],
    changes: [{ spec: { resource: { resource: 'others' } } }],
  },
  {
    resource: 'clustertrustbundles|certificates.k8s.io/v1',
    clusterWide: true,
    kind: 'ClusterTrustBundle',
    valid: { spec: { trustBundle: 'x' } },
    invalid: [{}, { spec: { signerName: 'example.com/x', trustBundle: 'x' } }],
  },
  {
    resource: 'deviceclasses|resource.k8s.io/v1',
    clusterWide: true,
    kind: 'DeviceClass',
    valid: { spec: { selectors: [{ cel: { expression: 'true' } }] } },
    also: [{ spec: {} }],
    invalid: [{ spec: { selectors: [{}] } }],
  },
  {
    resource: 'resourceclaims|resource.k8s.io/v1',
    kind: 'ResourceClaim',
    valid: { spec: { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'c' } }] } } },
    also: [{ spec: {} }],
    invalid: [
      { spec: { devices: { requests: [{ name: 'r' }] } } },
      { spec: { devices: { requests: [{ name: 'Not Valid', exactly: { deviceClassName: '' } }] } } },
    ],
    changes: [{ spec: { devices: null } }],
  },
  {
    resource: 'resourceclaimtemplates|resource.k8s.io/v1',
    kind: 'ResourceClaimTemplate',
    valid: {
      spec: {
        spec: { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'c', allocationMode: 'All' } }] } },
      },
    },
  },
  {
    resource: 'resourceslices|resource.k8s.io/v1',
    clusterWide: true,
    kind: 'ResourceSlice',
    valid: {
      spec: {
        driver: 'd.example.com',
        nodeName: 'n',
        pool: { name: 'p', generation: 1, resourceSliceCount: 1 },
        devices: [{ name: 'd' }],
      },
    },
    invalid: [{ spec: { driver: 'd', pool: { name: 'p', resourceSliceCount: 1 } } }],
  },
  {
    resource: 'devicetaintrules|resource.k8s.io/v1',
    clusterWide: true,
    kind: 'DeviceTaintRule',
    valid: { spec: { deviceSelector: { driver: 'd.example.com' }, taint: { key: 'k', effect: 'NoSchedule' } } },
    invalid: [{ spec: { taint: {} } }],
  },
];

const core = (body: object): object => ({ apiVersion: 'v1', kind: 'Event', ...body });
const regarding = { kind: 'Pod', name: 'p', namespace: '{ns}', apiVersion: 'v1' };
const newer = {
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  metadata: { name: 'n' },
  regarding,
  reason: 'R',
  note: 'text',
  type: 'Normal',
  action: 'Act',
  eventTime: '2026-01-02T03:04:05.678901Z',
  reportingController: 'example.com/c',
  reportingInstance: 'i',
};
const eventRequests: readonly Exchange[] = [
  post(at('events|events.k8s.io/v1'), newer),
  { path: at('events', 'n') },
  { path: at('events|events.k8s.io/v1', 'n') },
  post(
    at('events'),
    core({
      metadata: { name: 'o' },
      involvedObject: regarding,
      reason: 'R',
      message: 'm',
      type: 'Warning',
      count: 3,
      source: { component: 'c' },
      firstTimestamp: '2026-01-02T03:04:05Z',
      lastTimestamp: '2026-01-02T03:04:06Z',
    }),
  ),
  { path: at('events|events.k8s.io/v1', 'o') },
  { path: `${at('events|events.k8s.io/v1')}?fieldSelector=regarding.name%3Dp`, only: 'items.0.metadata.name' },
  { path: `${at('events')}?fieldSelector=involvedObject.name%3Dp`, only: 'items.0.metadata.name' },
  patch('merge', at('events|events.k8s.io/v1', 'n'), {
    series: { count: 2, lastObservedTime: '2026-01-02T03:04:06.000001Z' },
  }),
  patch('merge', at('events|events.k8s.io/v1', 'n'), { note: 'other' }),
  post(at('events|events.k8s.io/v1'), { ...newer, metadata: { name: 'bad' }, eventTime: undefined, type: 'What' }),
  post(at('events'), core({ metadata: { name: 'bad' }, involvedObject: { ...regarding, namespace: 'elsewhere' } })),
  remove(at('events', 'n')),
  { path: at('events|events.k8s.io/v1', 'n') },
];

export const kinds: readonly Scenario[] = [
  ...[...samples, ...moreSamples].map(scenarioOf),
  { name: 'two forms of events', requests: eventRequests },
].map((scenario, index) => ({ ...scenario, name: `${scenario.name} (${index})` }));
