import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { spawnDuplex, systemExec } from '#base';
import { lackingForLab, type PodProbe, pausePods, TestLab } from '../fixtures/lab.ts';
import { expectOk, until } from '../fixtures/pintle.ts';
import { plainText, probePort, type StreamReport } from '../fixtures/probe.ts';
import { skipped } from '../fixtures/skipped.ts';

const unfit = lackingForLab() || (Bun.which('tcpdump') ? '' : 'tcpdump not found');
if (unfit) skipped('e2e', 'the overlay between real hosts', unfit);

interface Lease {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly data?: Record<string, string>; readonly endpoint?: string; readonly mtuBytes?: number };
  readonly status?: { readonly rotation?: { readonly request?: string } };
}
interface Network {
  readonly status: { readonly backend?: string; readonly phase?: string };
}
interface NodeLike {
  readonly status: { readonly addresses: readonly { readonly type: string; readonly address: string }[] };
}
/** What docs/networking.md promises; it takes two or three seconds on a quiet machine. */
const foundMsMax = 10_000;
/** Longer than TCP takes to send again what was lost once or twice; a connection that is cut off never answers. */
const gapMsMax = 5_000;

describe.skipIf(unfit !== '')('the overlay between three real hosts', () => {
  const lab = new TestLab();
  let pods: PodProbe[] = [];
  const pairs = () => pods.flatMap((from) => pods.flatMap((to) => (from === to ? [] : [{ from, to }])));
  const leases = async () => (await lab.json<{ items: Lease[] }>('/apis/net.pintle.dev/v1/hostleases')).items;
  const network = () => lab.json<Network>('/apis/net.pintle.dev/v1/overlaynetworks/cluster');

  beforeAll(async () => {
    await lab.ok('up', '--hosts', '3');
    await lab.pauseImages();
    expectOk(await lab.kubectl(['apply', '-f', '-'], { stdin: pausePods('one') }));
    expectOk(await lab.kubectl(['rollout', 'status', 'deployment/one', '--timeout=60s']));
    pods = await lab.podProbes('app=one');
  });
  afterAll(async () => {
    for (const { probe } of pods) await probe[Symbol.asyncDispose]();
    await lab[Symbol.asyncDispose]();
  });

  const mesh = async (bytes: number) => {
    for (const { from, to } of pairs()) {
      await from.probe.tcp(to.ips[0]!, probePort, bytes);
      await from.probe.udp(to.ips[0]!);
    }
  };
  /** Connections between all pods that are used all the time while `work` goes on. */
  async function underTraffic(work: () => Promise<void>): Promise<StreamReport[]> {
    for (const { from, to } of pairs()) await from.probe.stream(to.ips[0]!);
    await work();
    await mesh(20_000);
    return Promise.all(pairs().map(({ from, to }) => from.probe.stop(to.ips[0]!)));
  }
  function expectUnbroken(what: string, reports: readonly StreamReport[]): void {
    console.log(
      `${what}: longest silence ${Math.max(...reports.map(({ gapMs }) => gapMs))} ms of ${reports.length} connections`,
    );
    for (const one of reports) {
      expect(one.closed).toBe('');
      expect(one.gapMs).toBeLessThan(gapMsMax);
      expect(one.answered).toBeGreaterThan(0);
    }
  }

  test('nothing that pods say can be read between the hosts', async () => {
    expect(pods.map(({ node }) => node).sort()).toEqual(['h1', 'h2', 'h3']);
    const file = `${lab.home.folder}/capture`;
    const middle = `/run/netns/${lab.lab.underlay.middle}`;
    const capture = spawnDuplex(['tcpdump', '-i', 'h1', '-s', '0', '-U', '-w', file], { netns: middle });
    try {
      const text = () => readFileSync(file, 'latin1');
      await until('the capture runs', () => text().length > 0);
      await mesh(20_000);
      await using plain = await lab.hostProbe('h2');
      await using host = await lab.hostProbe('h1');
      expect(text()).not.toContain(plainText);
      await plain.tcp(lab.lab.host('h1').address, probePort, 2_000); // between hosts, outside of the overlay: it would be seen
      await until('the capture shows what is not encrypted', () => text().includes(plainText));
      expect(host.name).toBe('h1');
    } finally {
      capture.kill('SIGKILL');
      await capture.exited;
    }
  });

  test('every host gets new keys, and no connection breaks', async () => {
    const before = new Map((await leases()).map(({ metadata, spec }) => [metadata.name, JSON.stringify(spec.data)]));
    const reports = await underTraffic(async () => {
      expectOk(await lab.kubectl(['annotate', 'overlaynetwork', 'cluster', 'net.pintle.dev/rotate=now']));
      await until('all hosts have other keys', async () => {
        const now = await leases();
        return (
          now.length === 3 && now.every(({ metadata, spec }) => JSON.stringify(spec.data) !== before.get(metadata.name))
        );
      });
    });
    expectUnbroken('rotation', reports);
  });

  for (const backend of ['vxlan', 'host-gw', 'wireguard'])
    test(`the running cluster moves to ${backend}, and no connection breaks`, async () => {
      const reports = await underTraffic(async () => {
        const patch = JSON.stringify({ spec: { backend } });
        expectOk(await lab.kubectl(['patch', 'overlaynetwork', 'cluster', '--type=merge', '-p', patch]));
        await until(`${backend} is in force everywhere`, async () => {
          const { status } = await network();
          return status.backend === backend && status.phase === 'Settled';
        });
      });
      expectUnbroken(`to ${backend}`, reports);
    });

  test('a host whose way takes smaller packets: pods are told, and large answers arrive', async () => {
    const host = lab.lab.host('h3');
    const before = (await leases()).find(({ metadata }) => metadata.name === 'h3')!.spec.mtuBytes!;
    for (const [netns, link] of [
      [host.netns, 'eth0'],
      [lab.lab.underlay.middle, host.port],
    ] as const)
      await Bun.spawn(['ip', '-n', netns, 'link', 'set', 'dev', link, 'mtu', '1300']).exited; // 1240 for pods is no multiple of what WireGuard pads to
    await until('the lease of h3 has a smaller MTU', async () =>
      (await leases()).some(({ metadata, spec }) => metadata.name === 'h3' && spec.mtuBytes! < before - 150),
    );
    const to = pods.find(({ node }) => node === 'h3')!;
    for (const from of pods.filter((one) => one !== to)) {
      await until(
        `${from.node} reaches h3 with large packets`,
        async () => (await from.probe.tcp(to.ips[0]!, probePort, 50_000)) !== '',
      );
      await until(
        `h3 reaches ${from.node} with large packets`,
        async () => (await to.probe.tcp(from.ips[0]!, probePort, 50_000)) !== '',
      );
    }
  });

  test('a host whose address changes is found again within seconds, by pods and by the API server', async () => {
    const { netns, address } = lab.lab.host('h2');
    const moved = address.replace(/\d+$/, '92');
    const own = pods.find(({ node }) => node === 'h2')!;
    const start = performance.now();
    await systemExec.run(['ip', '-n', netns, '-batch', '-'], {
      stdin: `address del ${address}/24 dev eth0\naddress add ${moved}/24 brd + dev eth0\nroute replace default via ${lab.lab.underlay.outside.address}\n`,
    });
    await until('the lease of h2 has the new address', async () =>
      (await leases()).some(({ metadata, spec }) => metadata.name === 'h2' && spec.endpoint === moved),
    );
    await until('the node h2 has the new address', async () => {
      const { status } = await lab.json<NodeLike>('/api/v1/nodes/h2');
      return status.addresses.some((one) => one.type === 'InternalIP' && one.address === moved);
    });
    for (const other of pods.filter((one) => one !== own)) {
      await until(`${other.node} reaches h2`, async () => (await other.probe.tcp(own.ips[0]!)) === other.ips[0]!);
      await until(`h2 reaches ${other.node}`, async () => (await own.probe.udp(other.ips[0]!)) === own.ips[0]!);
    }
    const foundMs = performance.now() - start;
    console.log(`another address: found again after ${foundMs | 0} ms`);
    expect(foundMs).toBeLessThan(foundMsMax);
    await until('logs of a pod on h2', async () => (await lab.kubectl(['logs', own.name])).code === 0);
  });
});
