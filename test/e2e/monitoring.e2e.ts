// kubectl top, the metrics of every process, traces of pods' starts, and a real Prometheus with the generated configuration, rules and alerts.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OtlpCollector, treeOf } from '../fixtures/otlp-collector.ts';
import { expectOk, freePort, runProgram, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = Bun.which('kubectl') ? '' : 'kubectl is not on PATH';
if (why) skipped('e2e', 'monitoring', why);
const withoutPrometheus = why || (Bun.which('prometheus') && Bun.which('promtool') ? '' : 'prometheus is not on PATH');
if (!why && withoutPrometheus) skipped('e2e', 'a real Prometheus', withoutPrometheus);

const cluster = new TestCluster();
const collector = new OtlpCollector();
const kubectl = async (...words: string[]) => expectOk(await cluster.kubectl(words)).trim();
const busy = `setInterval(() => { const end = performance.now() + 50; while (performance.now() < end); }, 100);
Bun.serve({ port: 8080, hostname: process.env.POD_IP || '0.0.0.0', fetch: () => new Response('shop_orders_total 41\\n') });`;
const pod = (name: string, annotations: object, command: readonly string[]) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: name }, annotations },
  spec: { containers: [{ name: 'c', image: 'pintle/demo:local', imagePullPolicy: 'IfNotPresent', command }] },
});

describe.skipIf(why !== '')('monitoring', () => {
  beforeAll(async () => {
    await cluster.up('--runtime', 'process', '--otlp-endpoint', collector.endpoint);
    expectOk(await cluster.run('image', 'demo'));
    const shop = { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '8080', 'prometheus.io/path': '/figures' };
    const items = [
      pod('shop', shop, ['bun', '--smol', '-e', busy]),
      pod('broken', {}, ['bun', '-e', 'process.exit(3)']),
    ];
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    expectOk(await cluster.kubectl(['apply', '-f', '-'], { stdin: list }));
    await kubectl('wait', '--for=condition=Ready', 'pod/shop', '--timeout=120s');
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    collector[Symbol.dispose]();
  });

  test('kubectl top tells what nodes and pods use, to those who may view them', async () => {
    await until('the pod is measured', async () => (await cluster.kubectl(['top', 'pod', 'shop'])).code === 0);
    const [, row = ''] = (await kubectl('top', 'pod', 'shop')).split('\n');
    const [, milli, mebi] = /^shop\s+(\d+)m\s+(\d+)Mi/.exec(row) ?? [];
    expect(Number(milli)).toBeGreaterThan(50); // about half a core, less on a busy machine
    expect(Number(mebi)).toBeGreaterThan(3);
    expect(await kubectl('top', 'pod', '--containers', '-l', 'app=shop')).toMatch(/shop\s+c\s+\d+m\s+\d+Mi/);
    const node = cluster.config.nodeName;
    expect(await kubectl('top', 'node')).toMatch(new RegExp(`^${node}\\s+\\d+m\\s+\\d+%\\s+\\d+Mi\\s+\\d+%`, 'm'));
    expect((await cluster.kubectl(['get', 'pods.metrics.k8s.io', 'nobody'])).err).toContain('(NotFound)');
    const asViewer = ['auth', 'can-i', 'list', 'pods.metrics.k8s.io', '--as', 'eve'];
    expect((await cluster.kubectl(asViewer)).out.trim()).toBe('no');
    await kubectl('create', 'rolebinding', 'eve', '--clusterrole=view', '--user=eve');
    await until('the role holds', async () => (await cluster.kubectl(asViewer)).out.trim() === 'yes');
  });

  test('the start of a pod is one trace, of every process that had part in it', async () => {
    const uid = await kubectl('get', 'pod', 'shop', '-o', 'jsonpath={.metadata.uid}');
    const spans = () => collector.spans.filter(({ traceId }) => traceId === uid.replaceAll('-', ''));
    await until('the kubelet has told', () => spans().some(({ name }) => name === 'pod.start'));
    await until('the scheduler has told', () => spans().some(({ name }) => name === 'pod.schedule'));
    await until('the API server has told', () => spans().some(({ name }) => name === 'pod.create'));
    const tree = treeOf(spans());
    for (const step of [
      'pod.create',
      'pod.schedule < pod.create',
      'pod.start < pod.create',
      'container.start < pod.start',
    ])
      expect(tree).toContain(step);
    expect([...new Set(spans().map(({ service }) => service))].sort()).toEqual(['apiserver', 'controllers', 'node']);
  });

  test('every process has metrics, under the names that dashboards know', async () => {
    const page = (path: string) => kubectl('get', '--raw', path);
    const node = `/api/v1/nodes/${cluster.config.nodeName}/proxy`;
    expect(await page('/metrics')).toContain('apiserver_request_total{');
    const controllers = await page('/metrics/controllers');
    for (const name of [
      'scheduler_schedule_attempts_total{result="scheduled"',
      'workqueue_adds_total{name=',
      'process_resident_memory_bytes ',
    ])
      expect(controllers).toContain(name);
    const kubelet = await page(`${node}/metrics`);
    for (const name of [
      'kubelet_running_pods ',
      'kubelet_runtime_operations_total{operation_type="start_container"}',
      'kubeproxy_sync_proxy_rules_duration_seconds_count ',
      'coredns_cache_entries{server="dns://:53",zones="."} ',
    ])
      expect(kubelet).toContain(name);
    expect(await page(`${node}/metrics/resource`)).toContain(
      'container_cpu_usage_seconds_total{container="c",namespace="default",pod="shop"}',
    );
    expect(await page('/metrics/state')).toMatch(
      /kube_pod_status_phase\{namespace="default",pod="shop",uid="[-\da-f]+",phase="Running"\} 1\n/,
    );
    expect((await cluster.kubectl(['get', '--raw', '/metrics/state', '--as', 'eve'])).err).toContain('Forbidden');
  });

  describe.skipIf(withoutPrometheus !== '')('a real Prometheus', () => {
    const folder = () => cluster.home.path('run', 'prometheus');
    const port = freePort();
    let server: ReturnType<typeof Bun.spawn> | undefined;
    const ask = async <T>(path: string): Promise<T> =>
      ((await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()) as { data: T }).data;
    const query = async (expression: string) =>
      (
        await ask<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
          `query?query=${encodeURIComponent(expression)}`,
        )
      ).result;

    beforeAll(async () => {
      mkdirSync(folder(), { recursive: true });
      expectOk(
        await cluster.kubectl(['apply', '-f', '-'], { stdin: expectOk(await cluster.run('monitoring', 'prometheus')) }),
      );
      const write = (name: string, text: string) => writeFileSync(join(folder(), name), text);
      write('token', await kubectl('create', 'token', 'prometheus', '-n', 'monitoring'));
      cpSync(cluster.home.path('pki', 'ca.crt'), join(folder(), 'ca.crt'));
      const from = ['--server', `https://127.0.0.1:${cluster.config.port}`, '--interval', '1'];
      write('rules.yml', expectOk(await cluster.run('monitoring', 'prometheus', '--part', 'rules')));
      write('prometheus.yml', expectOk(await cluster.run('monitoring', 'prometheus', '--part', 'config', ...from)));
      const flags = [
        `--web.listen-address=127.0.0.1:${port}`,
        '--config.file=prometheus.yml',
        '--storage.tsdb.path=data',
      ];
      server = Bun.spawn(['prometheus', ...flags], {
        cwd: folder(),
        stdout: 'ignore',
        stderr: Bun.file(join(folder(), 'log')),
      });
    });
    afterAll(async () => {
      server?.kill();
      await server?.exited;
    });

    test('promtool accepts what was generated', async () => {
      expectOk(await runProgram(['promtool', 'check', 'config', 'prometheus.yml'], { cwd: folder() }));
    });

    test('it finds every process and the pods that ask for it, and all answer', async () => {
      const wanted = ['apiserver', 'controllers', 'kubelet', 'plugins', 'pods', 'resource', 'state'];
      const seen = async () => {
        const { activeTargets } = await ask<{
          activeTargets: { labels: { job: string }; health: string; lastError: string }[];
        }>('targets');
        return activeTargets.map(({ labels, health, lastError }) => `${labels.job} ${health}${lastError}`).sort();
      };
      await untilEqual(
        seen,
        wanted.map((job) => `${job} up`),
      );
      await until('a figure of the pod is there', async () => (await query('shop_orders_total'))[0]?.value[1] === '41');
      const [order] = await query('shop_orders_total');
      expect(order?.metric).toMatchObject({ namespace: 'default', pod: 'shop', job: 'pods' });
      const ofPod = 'sum by (pod) (container_memory_working_set_bytes{namespace="default",pod="shop"})';
      await until('the pod is measured', async () => Number((await query(ofPod))[0]?.value[1]) > 2 ** 20);
      await until(
        'the broken pod is told of',
        async () => (await query('ALERTS{alertname="PodCrashLooping",pod="broken"}')).length > 0,
      );
      const { groups } = await ask<{ groups: { rules: { name: string; health: string }[] }[] }>('rules');
      const ill = groups.flatMap(({ rules }) => rules).filter(({ health }) => health === 'err');
      expect(ill).toEqual([]);
    });
  });
});

/** Says at its end what is still different. */
async function untilEqual(look: () => Promise<string[]>, wanted: readonly string[]): Promise<void> {
  let last: readonly string[] = [];
  const holds = async () => `${(last = await look())}` === `${wanted}`;
  await until('all targets answer', holds).catch(() => expect(last).toEqual([...wanted]));
}
