// Network policies and pods of both families in a real cluster: from kubectl to packets between containers.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { systemExec } from '#base';
import { leftOf, podLinksOf } from '../fixtures/leaks.ts';
import { expectOk, lacking, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const why = lacking();
if (why) skipped('e2e', 'network policies in a real cluster', why);
const image = 'pintle/demo:local';
/** Says whether the URL answers; a dropped packet has no other sign than time. */
const askCode = `const late = Bun.sleep(2500).then(() => 'nothing');
  console.log(await Promise.race([fetch(process.argv.at(-1)).then((answer) => String(answer.status), (error) => error.code), late]));
  process.exit();`;

describe.skipIf(why !== '')('network policies', () => {
  const cluster = new TestCluster();
  const kubectl = async (words: string, stdin?: string) =>
    expectOk(await cluster.kubectl(words.split(' '), stdin === undefined ? {} : { stdin }));
  const apply = (...items: object[]) =>
    kubectl('apply -f -', JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const pod = (name: string, annotations: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name }, annotations },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'main',
          image,
          imagePullPolicy: 'IfNotPresent',
          ports: [{ name: 'http', containerPort: 8080 }],
          readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1, failureThreshold: 1 },
        },
      ],
    },
  });
  const policy = (name: string, spec: object) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name },
    spec,
  });
  const only = (app: string) => ({ matchLabels: { app } });
  const ask = async (from: string, url: string) =>
    (await cluster.kubectl(['exec', from, '--', 'bun', '-e', askCode, url])).out.trim();
  const reaches = (from: string, url: string, wanted: string) =>
    until(`${from} asks ${url}: ${wanted}`, async () => (await ask(from, url)) === wanted);
  const web = 'http://web.default.svc.cluster.local/healthz';
  const node = () => cluster.state!.components.find(({ name }) => name === 'node')!.process!.pid;
  let podLinks: string[] = [];

  beforeAll(async () => {
    await cluster.up('--runtime', 'docker', '--pod-cidr', '10.187.0.0/16,fd87::/64');
    expectOk(await cluster.run('image', 'demo'));
    const service = { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] };
    await apply(
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, spec: service },
      pod('web'),
      pod('friend', { 'kubernetes.io/ingress-bandwidth': '50M' }),
      pod('stranger'),
    );
    await kubectl('wait --for=condition=Ready pod --all --timeout=100s');
    podLinks = await podLinksOf(cluster.config.clusterId);
  });
  afterAll(async () => {
    const { clusterId } = cluster.config;
    await cluster[Symbol.asyncDispose]();
    expect(await leftOf(cluster.home.folder, clusterId, podLinks)).toEqual([]);
  });

  test('pods have an address of each family, and their bandwidth is held', async () => {
    const ips = JSON.parse(await kubectl('get pod friend -o jsonpath={.status.podIPs}')) as { ip: string }[];
    expect(ips.map(({ ip }) => ip.split(/[.:]/)[0])).toEqual(['10', 'fd87']);
    const { stdout } = await systemExec.run(['tc', 'qdisc', 'show']);
    expect(stdout.split('\n').filter((line) => line.includes('rate 50Mbit')).length).toBeGreaterThanOrEqual(1);
  });

  test('closed by default, opened by label, port name and the DNS; probes go on', async () => {
    await reaches('stranger', web, '200');
    await apply(policy('closed', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }));
    await reaches('friend', web, 'nothing');
    const dns = {
      to: [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }],
      ports: [{ port: 53, protocol: 'UDP' }],
    };
    await apply(
      policy('out', {
        podSelector: {},
        policyTypes: ['Egress'],
        egress: [dns, { to: [{ podSelector: only('web') }] }],
      }),
      policy('in', {
        podSelector: only('web'),
        ingress: [{ from: [{ podSelector: only('friend') }], ports: [{ port: 'http' }] }],
      }),
    );
    await reaches('friend', web, '200');
    expect(await ask('stranger', web)).toBe('nothing');
    const ready = '{.items[*].status.containerStatuses[*].ready}';
    expect(await kubectl(`get pods -o jsonpath=${ready}`)).toBe('true true true');
  });

  test('a new pod never passes what it may not; without its node process nothing opens', async () => {
    const before = node();
    await apply(pod('late'));
    await kubectl('wait --for=condition=Ready pod late --timeout=100s');
    expect(await ask('late', web)).toBe('nothing');
    process.kill(before, 'SIGKILL');
    expect(await ask('stranger', web).catch(() => 'nothing')).not.toBe('200');
    await until('the node runs again', () => node() !== before);
    await reaches('friend', web, '200');
    expect(await ask('stranger', web)).toBe('nothing');
    await kubectl('delete networkpolicy --all');
    await reaches('stranger', web, '200');
  });
});
