import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { lackingForLab, type PodProbe, TestLab } from '../fixtures/lab.ts';
import { expectOk, pintle, until } from '../fixtures/pintle.ts';
import type { Probe } from '../fixtures/probe.ts';
import { probePort } from '../fixtures/probe.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'lab', unfit);

/** Two pods on every host, and a service for all of them. */
const workload = JSON.stringify({
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        replicas: 6,
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: {
            terminationGracePeriodSeconds: 0,
            topologySpreadConstraints: [
              {
                maxSkew: 1,
                topologyKey: 'kubernetes.io/hostname',
                whenUnsatisfiable: 'ScheduleAnyway',
                labelSelector: { matchLabels: { app: 'web' } },
              },
            ],
            containers: [{ name: 'web', image: 'pintle/demo:local', imagePullPolicy: 'Never' }],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: {
        selector: { app: 'web' },
        ports: [
          { name: 'tcp', port: 80, targetPort: probePort },
          { name: 'udp', port: 80, targetPort: probePort, protocol: 'UDP' },
        ],
      },
    },
  ],
});

describe.skipIf(unfit !== '')('a lab of three hosts', () => {
  const lab = new TestLab();
  const hosts = ['h1', 'h2', 'h3'];
  let pods: PodProbe[] = [];
  let hostProbes: Probe[] = [];

  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3');
  });
  afterAll(async () => {
    for (const probe of [...pods.map((pod) => pod.probe), ...hostProbes]) await probe[Symbol.asyncDispose]();
    await lab[Symbol.asyncDispose]();
  });

  test('its nodes are Ready and untainted, from outside and on every host; twice is harmless; other commands know it', async () => {
    const { items } = await lab.json<{ items: { metadata: { name: string }; spec: { taints?: unknown } }[] }>(
      '/api/v1/nodes',
    );
    expect(items.map(({ metadata, spec }) => `${metadata.name} ${JSON.stringify(spec.taints ?? [])}`)).toEqual(
      hosts.map((name) => `${name} []`),
    );
    expect(expectOk(await lab.kubectl(['get', 'nodes', '-o', 'name']))).toBe('node/h1\nnode/h2\nnode/h3\n');
    expect((await lab.run('exec', 'h3', '--', 'kubectl', 'get', 'nodes', '-o', 'name')).out).toBe(
      'node/h1\nnode/h2\nnode/h3\n',
    );
    expect(await lab.run('exec', 'h2', '--', 'sh', '-c', 'echo $DOCKER_HOST; exit 7')).toMatchObject({
      code: 7,
      out: `unix://${lab.home.folder}/hosts/h2/engine/docker.sock\n`,
    });
    expect(await lab.ok('up')).toContain('├── h2 ');
    const asCluster = await pintle(['status', '--home', lab.home.folder]);
    expect([asCluster.code, asCluster.err]).toEqual([1, expect.stringContaining('[HOME_IS_LAB]')]);
    expect((await lab.run('up', '--underlay', 'nat')).err).toContain('[HOME_IN_USE]');
    expect((await lab.run('exec', 'h4', '--', 'true')).err).toContain('[UNKNOWN_HOST]');
    expect(JSON.parse(await lab.ok('status', '--json'))).toMatchObject({
      kind: 'flat',
      hosts: hosts.map((name) => ({ name, power: 'running', ready: true })),
    });
  });

  test('an image reaches every engine, and pods run on every host', async () => {
    expectOk(await pintle(['image', 'demo', '--home', lab.home.folder]));
    const images = expectOk(await pintle(['image', 'list', '--home', lab.home.folder]));
    for (const host of hosts) expect(images).toMatch(new RegExp(`^pintle/demo:local .* ${host}$`, 'm'));
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: workload }));
    expectOk(await lab.kubectl(['rollout', 'status', 'deployment/web', '--timeout=60s']));
    pods = await lab.podProbes('app=web');
    expect(pods.map(({ node }) => node).sort()).toEqual(['h1', 'h1', 'h2', 'h2', 'h3', 'h3']);
    hostProbes = await Promise.all(hosts.map((name) => lab.hostProbe(name)));
  });

  test('every pod reaches every other over TCP and UDP, with its own address; hosts and pods reach each other', async () => {
    for (const from of pods)
      for (const to of pods.filter((one) => one !== from)) {
        expect([from.node, to.node, await from.probe.tcp(to.ips[0]!, probePort, 20_000)]).toEqual([
          from.node,
          to.node,
          from.ips[0]!,
        ]);
        expect([from.node, to.node, await from.probe.udp(to.ips[0]!)]).toEqual([from.node, to.node, from.ips[0]!]);
      }
    for (const host of hostProbes)
      for (const pod of pods) {
        await host.tcp(pod.ips[0]!);
        await host.udp(pod.ips[0]!);
        const seenAs = await pod.probe.tcp(lab.lab.host(host.name).address);
        expect([pod.ips[0]!, lab.lab.host(pod.node).address]).toContain(seenAs); // out of the pods' range its host may stand for it
      }
  });

  test('the service answers from every host and every pod, from pods of every host', async () => {
    const { spec } = await lab.json<{ spec: { clusterIP: string } }>('/api/v1/namespaces/default/services/web');
    for (const asks of [...hostProbes, ...pods.map(({ probe }) => probe)]) {
      await until(`${asks.name} reaches the service`, async () => (await asks.tcp(spec.clusterIP, 80)) !== '');
      await asks.udp(spec.clusterIP, 80);
    }
  });

  test('logs and exec work for pods of every host', async () => {
    for (const host of hosts) {
      const { name } = pods.find(({ node }) => node === host)!;
      expect(expectOk(await lab.kubectl(['logs', name]))).toContain('listens on');
      expect(expectOk(await lab.kubectl(['exec', name, '--', 'cat', '/etc/hostname']))).toBe(`${name}\n`);
    }
  });

  test('a network policy holds between hosts and on one, in both directions, and for hosts that are not the pod’s own', async () => {
    const at = (host: string, index = 0) => pods.filter(({ node }) => node === host)[index]!;
    const hostOf = (name: string) => hostProbes[hosts.indexOf(name)]!;
    const [friend, other, target, neighbour] = [at('h1'), at('h2'), at('h3'), at('h3', 1)];
    const refuses = (from: Probe, to: PodProbe) =>
      until(`${from.name} is kept from ${to.name}`, () =>
        from.tcp(to.ips[0]!).then(
          () => false,
          () => true,
        ),
      );
    const policy = (name: string, spec: object) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name },
      spec,
    });
    const apply = async (...items: object[]) =>
      expectOk(
        await lab.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) }),
      );
    expectOk(await lab.kubectl(['label', 'pod', friend.name, 'friend=yes']));
    expectOk(await lab.kubectl(['label', 'pod', target.name, 'target=yes']));
    const friends = [{ podSelector: { matchLabels: { friend: 'yes' } } }];
    const ports = [
      { port: probePort, protocol: 'TCP' },
      { port: probePort, protocol: 'UDP' },
    ];
    await apply(
      policy('target', { podSelector: { matchLabels: { target: 'yes' } }, ingress: [{ from: friends, ports }] }),
    );
    for (const from of [other, neighbour]) await refuses(from.probe, target);
    await until('the friend reaches the target', async () => (await friend.probe.tcp(target.ips[0]!)) !== '');
    await friend.probe.udp(target.ips[0]!);
    await other.probe.tcp(friend.ips[0]!); // nobody else is closed
    await hostOf('h3').tcp(target.ips[0]!); // its own host: probes
    await refuses(hostOf('h2'), target);
    await apply(policy('friend', { podSelector: { matchLabels: { friend: 'yes' } }, policyTypes: ['Egress'] }));
    await refuses(friend.probe, target);
    await refuses(friend.probe, at('h1', 1));
    expectOk(await lab.kubectl(['delete', 'networkpolicy', '--all']));
    for (const from of [friend, other, neighbour])
      await until(`${from.name} reaches the target again`, async () => (await from.probe.tcp(target.ips[0]!)) !== '');
  });
});
