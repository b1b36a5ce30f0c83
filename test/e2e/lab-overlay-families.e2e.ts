import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { isIPv6 } from 'node:net';
import { lackingForLab, type PodProbe, pausePods, TestLab } from '../fixtures/lab.ts';
import { expectOk, until } from '../fixtures/pintle.ts';
import { type Probe, probePort } from '../fixtures/probe.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'IPv4 and IPv6 between real hosts', unfit);

interface Network {
  readonly status: { readonly backend?: string; readonly phase?: string };
}
const service = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'one' },
  spec: {
    ipFamilyPolicy: 'PreferDualStack',
    selector: { app: 'one' },
    ports: [
      { name: 'tcp', port: 80, targetPort: probePort },
      { name: 'udp', port: 80, targetPort: probePort, protocol: 'UDP' },
    ],
  },
});
/** Of the pods, those on h3 are reached by the one on h1 alone. */
const policy = JSON.stringify({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'one' },
  spec: {
    podSelector: { matchLabels: { at: 'h3' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { at: 'h1' } } }] }],
  },
});
const wholeSegments = 20_000;
const gapMsMax = 5_000;

describe.skipIf(unfit !== '')('three real hosts whose pods have addresses of both families', () => {
  const lab = new TestLab();
  let pods: PodProbe[] = [];
  let hosts: Probe[] = [];
  const pairs = () => pods.flatMap((from) => pods.flatMap((to) => (from === to ? [] : [{ from, to }])));
  const of = (family: 4 | 6, ips: readonly string[]) => ips.find((ip) => isIPv6(ip) === (family === 6))!;

  beforeAll(async () => {
    const ranges = ['--pod-cidr', '10.77.0.0/16,fd77::/48', '--service-cidr', '10.98.0.0/16,fd98::/112'];
    await lab.ok('up', '--hosts', '3', '--', ...ranges);
    await lab.pauseImages();
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: pausePods('one') }));
    expectOk(await lab.kubectl(['rollout', 'status', 'deployment/one', '--timeout=60s']));
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: service }));
    pods = await lab.podProbes('app=one');
    for (const { name, node } of pods) expectOk(await lab.kubectl(['label', 'pod', name, `at=${node}`]));
    hosts = await Promise.all(lab.lab.hosts.map(({ name }) => lab.hostProbe(name)));
  });
  afterAll(async () => {
    for (const probe of [...pods.map((pod) => pod.probe), ...hosts]) await probe[Symbol.asyncDispose]();
    await lab[Symbol.asyncDispose]();
  });

  /** Every pod with every other, and every pod with every host, by TCP and UDP, with the addresses that they have. */
  async function expectMesh(family: 4 | 6): Promise<void> {
    for (const { from, to } of pairs()) {
      const [own, other] = [of(family, from.ips), of(family, to.ips)];
      expect(`${other} sees ${await from.probe.tcp(other, probePort, wholeSegments)}`).toBe(`${other} sees ${own}`);
      expect(`${other} sees ${await from.probe.udp(other)}`).toBe(`${other} sees ${own}`);
    }
    for (const host of hosts) {
      const { address, address6 } = lab.lab.host(host.name);
      for (const pod of pods) {
        const own = of(family, pod.ips);
        await host.tcp(own, probePort, wholeSegments);
        await host.udp(own);
        await pod.probe.tcp(family === 4 ? address : address6!, probePort, wholeSegments);
        await pod.probe.udp(family === 4 ? address : address6!);
      }
    }
  }

  async function expectService(): Promise<void> {
    const { spec } = await lab.json<{ spec: { clusterIPs: string[] } }>('/api/v1/namespaces/default/services/one');
    expect(spec.clusterIPs.map(isIPv6)).toEqual([false, true]);
    for (const virtual of spec.clusterIPs)
      for (const asks of [...hosts, ...pods.map(({ probe }) => probe)]) {
        await until(`${asks.name} reaches the service`, async () => (await asks.tcp(virtual, 80)) !== '');
        await asks.udp(virtual, 80);
      }
  }
  async function expectPolicy(): Promise<void> {
    const at = (host: string) => pods.find(({ node }) => node === host)!;
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: policy }));
    for (const ip of at('h3').ips) {
      const reaches = (host: string) =>
        at(host)
          .probe.tcp(ip)
          .then(Boolean, () => false);
      await until(`h2 is kept from ${ip}`, async () => !(await reaches('h2')));
      expect(await reaches('h1')).toBe(true);
    }
    expectOk(await lab.kubectl(['delete', 'networkpolicy', 'one']));
    for (const ip of at('h3').ips)
      await until(`h2 reaches ${ip} again`, () =>
        at('h2')
          .probe.tcp(ip)
          .then(Boolean, () => false),
      );
  }

  test('each host has a subnet of each family, and each pod an address of its host’s', async () => {
    expect(pods.map(({ node }) => node).sort()).toEqual(['h1', 'h2', 'h3']);
    for (const { ips } of pods) expect(ips.map(isIPv6)).toEqual([false, true]);
    for (const family of [4, 6] as const) expect(new Set(pods.map(({ ips }) => of(family, ips))).size).toBe(3);
  });

  for (const backend of ['wireguard', 'vxlan', 'host-gw'])
    test(`over ${backend} everybody reaches everybody in both families, and a move there breaks no connection`, async () => {
      const ways = pairs().map(({ from, to }) => ({ from, ip: of(6, to.ips) }));
      for (const { from, ip } of ways) await from.probe.stream(ip);
      const patch = JSON.stringify({ spec: { backend } });
      expectOk(await lab.kubectl(['patch', 'overlaynetwork', 'cluster', '--type=merge', '-p', patch]));
      await until(`${backend} is in force everywhere`, async () => {
        const { status } = await lab.json<Network>('/apis/net.pintle.dev/v1/overlaynetworks/cluster');
        return status.backend === backend && status.phase === 'Settled';
      });
      await expectMesh(4);
      await expectMesh(6);
      for (const { from, ip } of ways) {
        const { closed, gapMs, answered } = await from.probe.stop(ip);
        expect([closed, answered > 0, gapMs < gapMsMax]).toEqual(['', true, true]);
      }
      await expectService();
      await expectPolicy();
    });
});
