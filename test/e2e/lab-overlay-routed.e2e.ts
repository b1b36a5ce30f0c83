import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { lackingForLab, type PodProbe, pausePods, TestLab } from '../fixtures/lab.ts';
import { expectOk, until } from '../fixtures/pintle.ts';
import { probePort } from '../fixtures/probe.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab();
if (unfit) skipped('e2e', 'real hosts on networks of their own', unfit);

interface Network {
  readonly status: { readonly backend?: string; readonly phase?: string; readonly waitingFor?: readonly string[] };
}
interface Lease {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly rejected?: readonly { readonly node: string; readonly reason: string }[] };
}

describe.skipIf(unfit !== '')('three real hosts with a router between them', () => {
  const lab = new TestLab();
  let pods: PodProbe[] = [];

  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3', '--underlay', 'routed');
    await lab.pauseImages();
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: pausePods('one') }));
    expectOk(await lab.kubectl(['rollout', 'status', 'deployment/one', '--timeout=60s']));
    pods = await lab.podProbes('app=one');
  });
  afterAll(async () => {
    for (const { probe } of pods) await probe[Symbol.asyncDispose]();
    await lab[Symbol.asyncDispose]();
  });
  const pairs = () => pods.flatMap((from) => pods.flatMap((to) => (from === to ? [] : [{ from, to }])));
  const expectMesh = async () => {
    for (const { from, to } of pairs()) {
      expect(await from.probe.tcp(to.ips[0]!, probePort, 20_000)).toBe(from.ips[0]!);
      expect(await from.probe.udp(to.ips[0]!)).toBe(from.ips[0]!);
    }
  };
  const wish = async (backend: string) => {
    const patch = JSON.stringify({ spec: { backend } });
    expectOk(await lab.kubectl(['patch', 'overlaynetwork', 'cluster', '--type=merge', '-p', patch]));
  };
  const untilStatus = (what: string, holds: (status: Network['status']) => boolean) =>
    until(what, async () => holds((await lab.json<Network>('/apis/net.pintle.dev/v1/overlaynetworks/cluster')).status));

  test('host-gw cannot serve them: the move waits and says for whom, nothing breaks, and the wish can be taken back', async () => {
    await expectMesh();
    for (const { from, to } of pairs()) await from.probe.stream(to.ips[0]!);
    await wish('host-gw');
    await untilStatus(
      'the move waits for all',
      ({ phase, waitingFor = [] }) => phase === 'Preparing' && waitingFor.join() === 'h1,h2,h3',
    );
    await until('each host says whom it cannot reach and why', async () => {
      const { items } = await lab.json<{ items: Lease[] }>('/apis/net.pintle.dev/v1/hostleases');
      return items.every(
        ({ status }) => status?.rejected?.filter(({ reason }) => reason.includes('host-gw')).length === 2,
      );
    });
    await expectMesh();
    await wish('vxlan'); // the wish is another one now
    await untilStatus('vxlan is in force', ({ backend, phase }) => backend === 'vxlan' && phase === 'Settled');
    await expectMesh();
    for (const { from, to } of pairs()) {
      const { closed, answered } = await from.probe.stop(to.ips[0]!);
      expect([closed, answered > 0]).toEqual(['', true]);
    }
  });
});
