// Every alert, on made-up series: it fires for what goes wrong, after its time, and not for what looks like it.
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prometheusRules } from '../plugins/monitoring/prometheus/rules.ts';
import { expectOk, repository, runProgram } from './fixtures/pintle.ts';
import { skipped } from './fixtures/skipped.ts';

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
}
const rules = (prometheusRules() as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);
const promtool = Bun.which('promtool');
if (!promtool) skipped('contract', 'the rules for Prometheus', 'there is no promtool (prometheus)');

/** `series: values`, one value a minute, in promtool's notation. */
type Series = Readonly<Record<string, string>>;
interface Case {
  readonly alert: string;
  readonly series: Series;
  /** Labels of the one that fires, and since which minute; it has not a minute before. */
  readonly fires: readonly [labels: Readonly<Record<string, string>>, minute: number];
}
const pod = 'namespace="d",pod="p",uid="u"';
const waiting = (kind: string, reason: string, name = 'p') =>
  `kube_pod_${kind}_status_waiting_reason{namespace="d",pod="${name}",uid="u",container="c",reason="${reason}"}`;
const buckets = (name: string, labels: string, fast: string, slow: string): Series => ({
  [`${name}_bucket{${labels},le="0.05"}`]: fast,
  [`${name}_bucket{${labels},le="5"}`]: slow,
  [`${name}_bucket{${labels},le="+Inf"}`]: slow,
});
const cases: readonly Case[] = [
  {
    alert: 'TargetDown',
    series: {
      'up{job="kubelet",instance="n"}': '1 1 0x28',
      'up{job="apiserver",instance="apiserver"}': '1x30',
      'up{job="pods",instance="p"}': '0x30',
    },
    fires: [{ job: 'kubelet' }, 4],
  },
  {
    alert: 'PodTargetDown',
    series: { 'up{job="pods",namespace="d",pod="p"}': '1 1 0x28', 'up{job="kubelet",instance="n"}': '0x30' },
    fires: [{ pod: 'p' }, 4],
  },
  {
    alert: 'NodeNotReady',
    series: {
      'kube_node_status_condition{node="n",condition="Ready",status="true"}': '1x9 0x20',
      'kube_node_status_condition{node="n",condition="Ready",status="unknown"}': '0x9 1x20',
      'kube_node_status_condition{node="m",condition="Ready",status="true"}': '1x30',
      'kube_node_status_condition{node="m",condition="Ready",status="false"}': '0x30',
    },
    fires: [{ node: 'n' }, 11],
  },
  {
    alert: 'NodeUnderPressure',
    series: {
      'kube_node_status_condition{node="n",condition="DiskPressure",status="true"}': '1x30',
      'kube_node_status_condition{node="n",condition="DiskPressure",status="false"}': '0x30',
      'kube_node_status_condition{node="m",condition="MemoryPressure",status="false"}': '1x30',
    },
    fires: [{ node: 'n', condition: 'DiskPressure' }, 5],
  },
  {
    alert: 'NodeMemoryHigh',
    series: {
      'node_memory_working_set_bytes{node="n"}': '95x30',
      'kube_node_status_capacity{node="n",resource="memory",unit="byte"}': '100x30',
      'node_memory_working_set_bytes{node="m"}': '80x30',
      'kube_node_status_capacity{node="m",resource="memory",unit="byte"}': '100x30',
    },
    fires: [{ node: 'n' }, 10],
  },
  {
    alert: 'PodCrashLooping',
    series: {
      [waiting('container', 'CrashLoopBackOff')]: '1 _ 1 1 _ 1 1 1 _ _ 1 1 1 1 1 1 1', // between two waits it runs
      [waiting('container', 'ContainerCreating', 'q')]: '1x30',
    },
    fires: [{ pod: 'p' }, 5],
  },
  {
    alert: 'PodCrashLooping',
    series: { [waiting('init_container', 'CrashLoopBackOff')]: '1x30' },
    fires: [{ pod: 'p' }, 5],
  },
  {
    alert: 'PodImageNotPulled',
    series: {
      [waiting('container', 'ImagePullBackOff')]: '1x30',
      [waiting('container', 'PodInitializing', 'q')]: '1x30',
    },
    fires: [{ pod: 'p', reason: 'ImagePullBackOff' }, 5],
  },
  {
    alert: 'PodUnschedulable',
    series: {
      [`kube_pod_status_unschedulable{${pod}}`]: '1x30',
      'kube_pod_status_unschedulable{namespace="d",pod="q",uid="v"}': '1 1 stale',
    },
    fires: [{ pod: 'p' }, 5],
  },
  {
    alert: 'PodNotReady',
    series: {
      [`kube_pod_status_ready{${pod},condition="true"}`]: '0x30',
      [`kube_pod_status_phase{${pod},phase="Running"}`]: '1x30',
      'kube_pod_status_ready{namespace="d",pod="done",uid="v",condition="true"}': '0x30',
      'kube_pod_status_phase{namespace="d",pod="done",uid="v",phase="Running"}': '0x30',
    },
    fires: [{ pod: 'p' }, 10],
  },
  {
    alert: 'ContainerOutOfMemory',
    series: {
      [`kube_pod_container_status_restarts_total{${pod},container="c"}`]: '0x4 1x20',
      [`kube_pod_container_status_last_terminated_reason{${pod},container="c",reason="OOMKilled"}`]: '_x4 1x20',
      [`kube_pod_container_status_restarts_total{${pod},container="other"}`]: '0x4 1x20',
      [`kube_pod_container_status_last_terminated_reason{${pod},container="other",reason="Error"}`]: '_x4 1x20',
    },
    fires: [{ pod: 'p', container: 'c' }, 5],
  },
  {
    alert: 'DeploymentIncomplete',
    series: {
      'kube_deployment_spec_replicas{namespace="d",deployment="stuck"}': '3x60',
      'kube_deployment_status_replicas_available{namespace="d",deployment="stuck"}': '2x60',
      'kube_deployment_status_replicas_updated{namespace="d",deployment="stuck"}': '3x60',
      'kube_deployment_spec_replicas{namespace="d",deployment="moves"}': '60x60',
      'kube_deployment_status_replicas_available{namespace="d",deployment="moves"}': '1+1x58',
      'kube_deployment_status_replicas_updated{namespace="d",deployment="moves"}': '2+1x58',
    },
    fires: [{ deployment: 'stuck' }, 15],
  },
  {
    alert: 'ApiErrors',
    series: {
      'apiserver_request_total{verb="GET",code="200"}': '0+90x40',
      'apiserver_request_total{verb="GET",code="404"}': '0+90x40',
      'apiserver_request_total{verb="GET",code="500"}': '0x10 10+20x30',
    },
    fires: [{}, 18],
  },
  {
    alert: 'ApiSlow',
    series: {
      ...buckets('apiserver_request_duration_seconds', 'verb="POST"', '0+1x60', '0+100x60'),
      ...buckets('apiserver_request_duration_seconds', 'verb="WATCH"', '0x60', '0+100x60'),
      ...buckets('apiserver_request_duration_seconds', 'verb="GET"', '0+100x60', '0+100x60'),
    },
    fires: [{ verb: 'POST' }, 11],
  },
  {
    alert: 'ControllerFallsBehind',
    series: { 'workqueue_depth{name="a"}': '2000x30', 'workqueue_depth{name="b"}': '0 2000 0x28' },
    fires: [{ name: 'a' }, 10],
  },
  {
    alert: 'ServiceRulesNotApplied',
    series: {
      'kubeproxy_sync_proxy_rules_failures_total{node="n"}': '0x4 0+1x30',
      'kubeproxy_sync_proxy_rules_failures_total{node="m"}': '7x30',
    },
    fires: [{ node: 'n' }, 11],
  },
  {
    alert: 'IngressFailing',
    series: {
      'pintle_ingress_requests_total{node="n",route="a",code="200"}': '0+80x30',
      'pintle_ingress_requests_total{node="n",route="b",code="502"}': '0+20x30',
      'pintle_ingress_requests_total{node="m",backend="a",code="4xx"}': '0+90x30',
      'pintle_ingress_requests_total{node="m",backend="a",code="5xx"}': '0+1x30',
    },
    fires: [{ node: 'n' }, 6],
  },
  {
    alert: 'DnsFailing',
    series: {
      'coredns_dns_responses_total{node="n",rcode="NOERROR",zone="."}': '0+90x30',
      'coredns_dns_responses_total{node="n",rcode="SERVFAIL",zone="."}': '0+10x30',
      'coredns_dns_responses_total{node="m",rcode="NXDOMAIN",zone="."}': '0+90x30',
    },
    fires: [{ node: 'n' }, 6],
  },
  {
    alert: 'DnsSlow',
    series: {
      ...buckets('coredns_dns_request_duration_seconds', 'node="n",zone="cluster.local."', '0+1x60', '0+100x60'),
      ...buckets('coredns_dns_request_duration_seconds', 'node="m",zone="."', '0+1x60', '0+100x60'), // others' names
    },
    fires: [{ node: 'n' }, 11],
  },
  {
    alert: 'DnsFlooded',
    series: {
      'pintle_dns_refused_total{node="n",reason="rate"}': '0+6000x30',
      'pintle_dns_refused_total{node="m",reason="stranger"}': '0+6000x30',
    },
    fires: [{ node: 'n' }, 6],
  },
];

const folder = mkdtempSync(join(tmpdir(), 'pintle-alerts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const firingAt = ({ alert, fires: [labels, minute] }: Case, isFiring: boolean) => {
  const selector = Object.entries({ alertname: alert, alertstate: 'firing', ...labels });
  return {
    eval_time: `${isFiring ? minute : minute - 1}m`,
    expr: `count(ALERTS{${selector.map(([key, value]) => `${key}="${value}"`).join()}}) or vector(0)`,
    exp_samples: [{ labels: '{}', value: isFiring ? 1 : 0 }],
  };
};
/** Nothing else of that alert fires beside it. */
const alone = ({ alert, fires: [, minute] }: Case) => ({
  eval_time: `${minute}m`,
  expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
  exp_samples: [{ labels: '{}', value: 1 }],
});

describe.skipIf(!promtool)('promtool', () => {
  test('each alert fires when it should, for what it should, and for nothing else', async () => {
    const tests = cases.map((one) => ({
      interval: '1m',
      name: one.alert,
      input_series: Object.entries(one.series).map(([series, values]) => ({ series, values })),
      promql_expr_test: [firingAt(one, false), firingAt(one, true), alone(one)],
    }));
    writeFileSync(join(folder, 'rules.yml'), JSON.stringify(prometheusRules()));
    const group_eval_order = ['pintle.records', 'pintle.alerts'];
    const file = { rule_files: ['rules.yml'], evaluation_interval: '1m', group_eval_order, tests };
    writeFileSync(join(folder, 'tests.yml'), JSON.stringify(file));
    expectOk(await runProgram([promtool!, 'check', 'rules', 'rules.yml'], { cwd: folder }));
    expectOk(await runProgram([promtool!, 'test', 'rules', 'tests.yml'], { cwd: folder }));
  }, 60_000);
});

test('every alert is tried, and names metrics that somebody here makes', () => {
  const alerts = rules.flatMap(({ alert }) => alert ?? []);
  expect([...new Set(cases.map(({ alert }) => alert))].sort()).toEqual(alerts.sort());
  const texts = ['core', 'plugins'].flatMap((top) =>
    readdirSync(join(repository, top), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.includes('prometheus/'))
      .map((name) => readFileSync(join(repository, top, name), 'utf8')),
  );
  const made = texts.join('\n');
  const named = rules.flatMap(({ expr }) => expr.match(/(?<![:\w])[a-z]+(?:_[a-z0-9]+)+(?=[{[ )]|$)/g) ?? []);
  const words = /_(over_time|quantile)$/;
  const unknown = [...new Set(named)]
    .filter((name) => !words.test(name))
    .map((name) => name.replace(/_bucket$/, ''))
    .filter((name) => !made.includes(name) && !name.startsWith('kube_deployment_'));
  expect(unknown).toEqual([]);
  expect(named.length).toBeGreaterThan(20);
});
