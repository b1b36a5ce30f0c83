/** Where Prometheus finds the API server, and what it shows there. Paths as its own process sees them. */
export interface Way {
  /** Absent: it runs in a pod of the cluster. */
  readonly server?: string;
  readonly tokenFile: string;
  readonly caFile: string;
  readonly rulesFile: string;
  readonly intervalSeconds: number;
  /** `http`: the API server lists what there is to read, for builds of Prometheus that cannot ask Kubernetes themselves. */
  readonly discovery: 'kubernetes' | 'http';
}
export const inPod: Way = {
  tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
  caFile: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
  rulesFile: '/etc/prometheus/rules.yml',
  intervalSeconds: 15,
  discovery: 'kubernetes',
};

interface Rewrite {
  readonly source_labels?: readonly string[];
  readonly regex?: string;
  readonly target_label?: string;
  readonly replacement?: string;
  readonly action?: string;
}

/**
 * Prometheus' configuration as an object (YAML takes JSON). Everything is read through the API server: one address, one
 * token and one authority reach the processes of every host, behind NAT too. Pods say by annotations that they want to be read.
 */
export function prometheusConfig(way: Way): object {
  const host = way.server ? new URL(way.server).host : 'kubernetes.default.svc:443';
  const shown = {
    scheme: 'https',
    tls_config: { ca_file: way.caFile },
    authorization: { type: 'Bearer', credentials_file: way.tokenFile }, // the type is not filled in for discovery
  };
  const reached = { tls_config: shown.tls_config, authorization: shown.authorization };
  // Prometheus 2.42 keeps no connection for discovery, and over HTTP/2 then dials without end.
  const discovered = (role: 'node' | 'pod') =>
    way.discovery === 'http'
      ? {
          http_sd_configs: [
            {
              url: `https://${host}/metrics/targets/${role}s`,
              enable_http2: false,
              refresh_interval: '30s',
              ...reached,
            },
          ],
        }
      : { kubernetes_sd_configs: [{ role, ...(way.server && { api_server: way.server, ...reached }) }] };
  const component = (job: string, path: string) => ({
    job_name: job,
    ...shown,
    metrics_path: path,
    static_configs: [{ targets: [host] }],
    relabel_configs: [{ target_label: 'instance', replacement: job }],
  });
  const ofNodes = (job: string, path: string) => ({
    job_name: job,
    ...shown,
    ...discovered('node'),
    relabel_configs: [
      { target_label: '__address__', replacement: host },
      {
        source_labels: ['__meta_kubernetes_node_name'],
        target_label: '__metrics_path__',
        replacement: `/api/v1/nodes/$1/proxy${path}`,
      },
      { source_labels: ['__meta_kubernetes_node_name'], target_label: 'node' },
      { source_labels: ['__meta_kubernetes_node_name'], target_label: 'instance' },
    ] satisfies Rewrite[],
  });
  return {
    global: { scrape_interval: `${way.intervalSeconds}s`, evaluation_interval: `${way.intervalSeconds}s` },
    rule_files: [way.rulesFile, ownRules(way.rulesFile)],
    scrape_configs: [
      component('apiserver', '/metrics'),
      component('controllers', '/metrics/controllers'),
      component('plugins', '/metrics/plugins'),
      { ...component('state', '/metrics/state'), honor_labels: true },
      ofNodes('kubelet', '/metrics'),
      { ...ofNodes('resource', '/metrics/resource'), honor_labels: true },
      {
        job_name: 'pods',
        ...(way.server && shown),
        ...discovered('pod'),
        relabel_configs: podRewrites(way.server !== undefined, host),
      },
    ],
  };
}

/** Rules of the cluster's people: every file of the folder `rules.d` beside ours, which need not be there. */
const ownRules = (file: string): string => `${file.slice(0, file.lastIndexOf('/') + 1)}rules.d/*.yml`;

/** `prometheus.io/scrape: "true"`, with `port` and `path`. From outside the cluster pods are reached through the API server. */
function podRewrites(fromOutside: boolean, host: string): Rewrite[] {
  const annotation = (name: string) => `__meta_kubernetes_pod_annotation_prometheus_io_${name}`;
  const place = ['__meta_kubernetes_namespace', '__meta_kubernetes_pod_name', annotation('port')];
  const direct: Rewrite[] = [
    {
      source_labels: ['__meta_kubernetes_pod_ip', annotation('port')],
      regex: '(.+);(\\d+)',
      target_label: '__address__',
      replacement: '$1:$2',
    },
    { source_labels: [annotation('path')], regex: '(.+)', target_label: '__metrics_path__' },
  ];
  const through: Rewrite[] = [
    { target_label: '__address__', replacement: host },
    {
      source_labels: place,
      regex: '(.+);(.+);(\\d+)',
      target_label: '__metrics_path__',
      replacement: '/api/v1/namespaces/$1/pods/$2:$3/proxy/metrics',
    },
    {
      source_labels: [...place, annotation('path')],
      regex: '(.+);(.+);(\\d+);(.+)',
      target_label: '__metrics_path__',
      replacement: '/api/v1/namespaces/$1/pods/$2:$3/proxy$4',
    },
  ];
  return [
    { source_labels: [annotation('scrape')], regex: 'true', action: 'keep' },
    { source_labels: ['__meta_kubernetes_pod_phase'], regex: 'Pending|Succeeded|Failed|Unknown', action: 'drop' },
    ...(fromOutside ? through : direct),
    { source_labels: ['__meta_kubernetes_namespace'], target_label: 'namespace' },
    { source_labels: ['__meta_kubernetes_pod_name'], target_label: 'pod' },
    { source_labels: ['__meta_kubernetes_pod_name'], target_label: 'instance' },
  ];
}
