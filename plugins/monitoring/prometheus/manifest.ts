import { inPod, prometheusConfig } from './config.ts';
import { prometheusRules } from './rules.ts';

const name = 'prometheus';
const rbac = 'rbac.authorization.k8s.io';

/** A Prometheus in the cluster, for `kubectl apply -f -`: its account and rights, configuration, workload and Service. */
export function prometheusManifest({ namespace, image }: { namespace: string; image: string }): object {
  const metadata = { name, namespace, labels: { app: name } };
  const cluster = { name: `${name}-${namespace}` };
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: cluster, rules: prometheusRights },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: cluster,
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: cluster.name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: {
        'prometheus.yml': JSON.stringify(prometheusConfig(inPod), undefined, 2),
        'rules.yml': JSON.stringify(prometheusRules(), undefined, 2),
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: { app: name }, ports: [{ name: 'http', port: 9090 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 1,
        strategy: { type: 'Recreate' }, // two would write into one folder
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: podSpec(image) },
      },
    },
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}

export const prometheusRights = [
  { apiGroups: [''], resources: ['nodes', 'pods', 'services', 'endpoints'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: [''], resources: ['nodes/proxy', 'nodes/metrics', 'pods/proxy'], verbs: ['get'] },
  {
    nonResourceURLs: ['/metrics', '/metrics/*'],
    verbs: ['get'],
  },
];

const podSpec = (image: string): object => ({
  serviceAccountName: name,
  securityContext: { runAsNonRoot: true, runAsUser: 65_534, fsGroup: 65_534 },
  containers: [
    {
      name,
      image,
      args: [
        '--config.file=/etc/prometheus/prometheus.yml',
        '--storage.tsdb.path=/prometheus',
        '--storage.tsdb.retention.time=15d',
      ],
      ports: [{ name: 'http', containerPort: 9090 }],
      readinessProbe: { httpGet: { path: '/-/ready', port: 'http' } },
      volumeMounts: [
        { name: 'config', mountPath: '/etc/prometheus' },
        { name: 'rules', mountPath: '/etc/prometheus/rules.d' },
        { name: 'data', mountPath: '/prometheus' },
      ],
    },
  ],
  volumes: [
    { name: 'config', configMap: { name } },
    { name: 'rules', configMap: { name: `${name}-rules`, optional: true } }, // of people; comes and goes without a restart
    { name: 'data', emptyDir: {} },
  ],
});
