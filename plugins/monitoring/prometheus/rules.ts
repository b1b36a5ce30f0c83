interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: 'critical' | 'warning' };
  readonly annotations: { readonly summary: string; readonly description: string };
}
interface Record {
  readonly record: string;
  readonly expr: string;
}

const alert = (
  name: string,
  severity: 'critical' | 'warning',
  wait: string,
  expr: string,
  summary: string,
  description: string,
): Alert => ({
  alert: name,
  expr,
  ...(wait !== '0s' && { for: wait }),
  labels: { severity },
  annotations: { summary, description },
});

const records: readonly Record[] = [
  {
    record: 'cluster:apiserver_request:error_ratio5m',
    expr: 'sum(rate(apiserver_request_total{code=~"5.."}[5m])) / sum(rate(apiserver_request_total[5m]))',
  },
  {
    record: 'verb:apiserver_request_duration_seconds:p99_5m',
    expr: 'histogram_quantile(0.99, sum by (verb, le) (rate(apiserver_request_duration_seconds_bucket{verb!~"WATCH|CONNECT"}[5m])))',
  },
  {
    record: 'node:coredns_dns_responses:failure_ratio5m',
    expr: 'sum by (node) (rate(coredns_dns_responses_total{rcode="SERVFAIL"}[5m])) / sum by (node) (rate(coredns_dns_responses_total[5m]))',
  },
  {
    record: 'node:coredns_dns_request_duration_seconds:p99_5m',
    expr: 'histogram_quantile(0.99, sum by (node, le) (rate(coredns_dns_request_duration_seconds_bucket{zone="cluster.local."}[5m])))',
  },
  { record: 'node:cpu_usage:cores5m', expr: 'sum by (node) (rate(node_cpu_usage_seconds_total[5m]))' },
  {
    record: 'node:cpu_usage:ratio5m',
    expr: 'node:cpu_usage:cores5m / on (node) kube_node_status_capacity{resource="cpu"}',
  },
  {
    record: 'node:memory_usage:ratio',
    expr: 'sum by (node) (node_memory_working_set_bytes) / on (node) kube_node_status_capacity{resource="memory"}',
  },
  {
    record: 'namespace:container_cpu_usage:cores5m',
    expr: 'sum by (namespace) (rate(container_cpu_usage_seconds_total[5m]))',
  },
  {
    record: 'namespace:container_memory:bytes',
    expr: 'sum by (namespace) (container_memory_working_set_bytes)',
  },
];

/** What really goes wrong in a cluster, and what to do then. */
const alerts: readonly Alert[] = [
  alert(
    'TargetDown',
    'critical',
    '2m',
    'up{job!="pods"} == 0',
    'a part of the cluster does not answer',
    '{{ $labels.job }} on {{ $labels.instance }} has not answered for 2 minutes: `./pintle status` and `./pintle logs` there.',
  ),
  alert(
    'PodTargetDown',
    'warning',
    '2m',
    'up{job="pods"} == 0',
    'a pod that asks to be read does not answer',
    'the metrics of {{ $labels.namespace }}/{{ $labels.pod }} cannot be read: `kubectl logs -n {{ $labels.namespace }} {{ $labels.pod }}`, and look at its annotations prometheus.io/port and prometheus.io/path.',
  ),
  alert(
    'NodeNotReady',
    'critical',
    '1m',
    'kube_node_status_condition{condition="Ready",status="true"} == 0',
    'a node is not ready',
    'node {{ $labels.node }} is not ready; its pods are replaced elsewhere: `kubectl describe node {{ $labels.node }}`.',
  ),
  alert(
    'NodeUnderPressure',
    'warning',
    '5m',
    'kube_node_status_condition{condition=~".+Pressure",status="true"} == 1',
    'a node runs out of something',
    'node {{ $labels.node }} reports {{ $labels.condition }}; pods may be evicted.',
  ),
  alert(
    'NodeMemoryHigh',
    'warning',
    '10m',
    'node:memory_usage:ratio > 0.9',
    'the memory of a node is nearly used up',
    'node {{ $labels.node }} uses {{ $value | humanizePercentage }} of its memory: `kubectl top pods -A --sort-by=memory`.',
  ),
  alert(
    'PodCrashLooping',
    'warning',
    '5m',
    'max_over_time({__name__=~"kube_pod_(init_)?container_status_waiting_reason",reason="CrashLoopBackOff"}[5m]) >= 1',
    'a container crashes again and again',
    'container {{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }}: `kubectl logs -n {{ $labels.namespace }} {{ $labels.pod }} -c {{ $labels.container }} --previous`.',
  ),
  alert(
    'PodImageNotPulled',
    'warning',
    '5m',
    'max_over_time({__name__=~"kube_pod_(init_)?container_status_waiting_reason",reason=~"ImagePullBackOff|ErrImagePull|ErrImageNeverPull|InvalidImageName"}[5m]) >= 1',
    'an image cannot be had',
    'container {{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} waits: {{ $labels.reason }}.',
  ),
  alert(
    'PodUnschedulable',
    'warning',
    '5m',
    'kube_pod_status_unschedulable == 1',
    'no node takes a pod',
    '{{ $labels.namespace }}/{{ $labels.pod }} has waited for 5 minutes: `kubectl describe pod -n {{ $labels.namespace }} {{ $labels.pod }}` says why.',
  ),
  alert(
    'PodNotReady',
    'warning',
    '10m',
    'kube_pod_status_ready{condition="true"} == 0 and on (namespace, pod, uid) kube_pod_status_phase{phase="Running"} == 1',
    'a pod runs and takes no traffic',
    '{{ $labels.namespace }}/{{ $labels.pod }} has not been ready for 10 minutes: `kubectl describe pod -n {{ $labels.namespace }} {{ $labels.pod }}` shows what its probes say.',
  ),
  alert(
    'ContainerOutOfMemory',
    'warning',
    '0s',
    'increase(kube_pod_container_status_restarts_total[10m]) > 0 and on (namespace, pod, container) kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1',
    'a container was killed for its memory',
    'container {{ $labels.container }} of {{ $labels.namespace }}/{{ $labels.pod }} reached its memory limit.',
  ),
  alert(
    'DeploymentIncomplete',
    'warning',
    '15m',
    'kube_deployment_spec_replicas > kube_deployment_status_replicas_available and changes(kube_deployment_status_replicas_updated[10m]) == 0',
    'a deployment has fewer pods than it wants',
    '{{ $labels.namespace }}/{{ $labels.deployment }} makes no progress: `kubectl rollout status -n {{ $labels.namespace }} deployment/{{ $labels.deployment }}`.',
  ),
  alert(
    'ApiErrors',
    'critical',
    '5m',
    'cluster:apiserver_request:error_ratio5m > 0.05',
    'the API server answers with errors',
    '{{ $value | humanizePercentage }} of requests fail: `./pintle logs apiserver`.',
  ),
  alert(
    'ApiSlow',
    'warning',
    '10m',
    'verb:apiserver_request_duration_seconds:p99_5m > 1',
    'the API server is slow',
    'one in a hundred {{ $labels.verb }} requests takes more than {{ $value | humanizeDuration }}.',
  ),
  alert(
    'ControllerFallsBehind',
    'warning',
    '10m',
    'workqueue_depth > 1000',
    'a controller falls behind',
    '{{ $labels.name }} has {{ $value }} keys waiting.',
  ),
  alert(
    'ServiceRulesNotApplied',
    'critical',
    '5m',
    'increase(kubeproxy_sync_proxy_rules_failures_total[5m]) > 0',
    'service rules are not accepted by a host',
    'services may lead to old pods on {{ $labels.node }}: `./pintle logs node` there.',
  ),
  alert(
    'IngressFailing',
    'warning',
    '5m',
    'sum by (node) (rate(pintle_ingress_requests_total{code=~"5.."}[5m])) / sum by (node) (rate(pintle_ingress_requests_total[5m])) > 0.05',
    'the ingress answers with errors',
    '{{ $value | humanizePercentage }} of requests to the ingress of {{ $labels.node }} fail: `kubectl describe ingress -A`, and the pods behind it.',
  ),
  alert(
    'DnsFailing',
    'warning',
    '5m',
    'node:coredns_dns_responses:failure_ratio5m > 0.05',
    'names cannot be looked up',
    '{{ $value | humanizePercentage }} of questions on {{ $labels.node }} fail: are the name servers of that host reachable? `./pintle logs node` there names those that are silent.',
  ),
  alert(
    'DnsSlow',
    'warning',
    '10m',
    'node:coredns_dns_request_duration_seconds:p99_5m > 0.1',
    'names of the cluster are looked up slowly',
    'one in a hundred questions on {{ $labels.node }} takes more than {{ $value | humanizeDuration }}: that host is overloaded.',
  ),
  alert(
    'DnsFlooded',
    'warning',
    '5m',
    'sum by (node) (rate(pintle_dns_refused_total{reason!="stranger"}[5m])) > 10',
    'a pod asks for more names than are answered',
    'questions are dropped on {{ $labels.node }}: `./pintle logs node` there names the address they come from.',
  ),
];

/** A rules file as an object (YAML takes JSON). */
export const prometheusRules = (): object => ({
  groups: [
    { name: 'pintle.records', rules: records },
    { name: 'pintle.alerts', rules: alerts },
  ],
});
