import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { lackingForLab, type PodProbe, TestLab } from '../fixtures/lab.ts';
import { expectOk, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'hosts behind NAT', unfit);

const pods = JSON.stringify({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'one' },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: 'one' } },
    template: {
      metadata: { labels: { app: 'one' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'pause', image: 'pintle/pause:local', imagePullPolicy: 'Never' }],
      },
    },
  },
});

describe.skipIf(unfit !== '')('a lab whose hosts are behind routers that masquerade', () => {
  const lab = new TestLab();
  let probes: PodProbe[] = [];
  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3', '--underlay', 'nat');
    await lab.pauseImages();
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: pods }));
    expectOk(await lab.kubectl(['rollout', 'status', 'deployment/one', '--timeout=60s']));
    probes = await lab.podProbes('app=one');
  });
  afterAll(async () => {
    for (const { probe } of probes) await probe[Symbol.asyncDispose]();
    await lab[Symbol.asyncDispose]();
  });
  const on = (host: string) => probes.find(({ node }) => node === host)!;

  test('all are Ready, and the server reaches kubelets that it cannot call', async () => {
    expect(await lab.readyNodes()).toEqual(['h1', 'h2', 'h3']);
    expect(probes.map(({ node }) => node).sort()).toEqual(['h1', 'h2', 'h3']);
    for (const host of ['h1', 'h2', 'h3'])
      await until(`logs of a pod on ${host}`, async () => (await lab.kubectl(['logs', on(host).name])).code === 0);
  });

  test('pods reach each other, between two hidden hosts through the public one', async () => {
    for (const from of probes)
      for (const to of probes) {
        if (from === to) continue;
        const way = `${from.node} to ${to.node}`;
        await until(
          `TCP from ${way}`,
          async () => (await from.probe.tcp(to.ips[0]!, undefined, 20_000)) === from.ips[0]!,
        );
        await until(`UDP from ${way}`, async () => (await from.probe.udp(to.ips[0]!)) === from.ips[0]!);
      }
  });

  test('a connection between hidden hosts lives through a delay and the loss of packets', async () => {
    const [from, to] = [on('h2'), on('h3')];
    await from.probe.stream(to.ips[0]!);
    await lab.ok('delay', 'h2', '40ms', '--jitter', '10', '--loss', '2');
    await from.probe.tcp(to.ips[0]!).catch(() => ''); // the way is late now
    await lab.ok('heal');
    await until('answers at once again', async () => (await from.probe.udp(to.ips[0]!)) !== '');
    const report = await from.probe.stop(to.ips[0]!);
    expect(report.closed).toBe('');
    expect(report.answered).toBeGreaterThan(0);
  });
});
