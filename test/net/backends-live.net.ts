import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, systemClock } from '#base';
import type { Lease, NetworkBackend, SyncReport } from '#net/backend';
import { createHostGatewayBackend } from '../../net/backends/host-gw.ts';
import { createVxlanBackend } from '../../net/backends/vxlan.ts';
import { createWireguardBackend } from '../../net/backends/wireguard.ts';
import { eventually } from '../fixtures/eventually.ts';
import { makeOverlayHosts, type OverlayHost, type OverlayHosts } from '../fixtures/overlay-hosts.ts';
import { rejection } from '../fixtures/rejection.ts';
import { skipped } from '../fixtures/skipped.ts';

/** Hosts with one backend each and leases that everybody sees, as the overlay plugin keeps them. */
class Cluster {
  readonly backends: NetworkBackend[];
  leases: Lease[] = [];
  constructor(
    readonly hosts: readonly OverlayHost[],
    make: (host: OverlayHost) => NetworkBackend,
  ) {
    this.backends = hosts.map(make);
  }
  async prepare(): Promise<void> {
    for (const [index, backend] of this.backends.entries()) {
      const { local } = this.hosts[index]!;
      const { endpoint, data } = await backend.prepare(local, this.othersOf(index));
      this.leases[index] = { node: local.node, subnets: local.subnets, endpoint, backend: backend.name, data };
    }
  }
  othersOf(index: number): Lease[] {
    return this.leases.filter(({ node }) => node !== this.hosts[index]!.local.node);
  }
  /** One look of every host, one after the other; what it must publish is seen by the next. */
  async syncAll(standby = false): Promise<SyncReport[]> {
    const reports: SyncReport[] = [];
    for (const [index, backend] of this.backends.entries()) {
      const report = await backend.sync(this.othersOf(index), { standby });
      this.leases[index] = { ...this.leases[index]!, data: report.data };
      reports.push(report);
    }
    return reports;
  }
}
const generationsOf = (lease: Lease): string[] => Object.keys(lease.data).filter((name) => name.startsWith('key.'));

if (process.getuid?.() !== 0) skipped('net', 'the overlay under traffic', 'namespaces need root');
else if (!Bun.which('wg') || !Bun.which('wireguard-go'))
  skipped('net', 'the overlay under traffic', 'wg or wireguard-go is not installed');
else
  describe('the overlay under traffic', () => {
    let world: OverlayHosts;
    let aheadMs = 0;
    let secret: string | undefined;
    const clock: Clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
    const wireguardOf = (host: OverlayHost) =>
      createWireguardBackend({
        clusterId: world.clusterId,
        node: host.local.node,
        stateFolder: host.folder,
        exec: host.exec,
        clock,
        secret: () => secret,
      });
    beforeAll(async () => {
      world = await makeOverlayHosts(3);
    });
    afterAll(() => world?.[Symbol.asyncDispose]());
    const pod = (index: number) => world.hosts[index]!.podIps;
    /** Both ways, both families. */
    const streams = async () => {
      const flows = await Promise.all([
        world.stream(world.hosts[0]!.podNetns, pod(1)[0]),
        world.stream(world.hosts[1]!.podNetns, pod(0)[1]),
        world.stream(world.hosts[2]!.podNetns, pod(0)[0]),
        world.stream(world.hosts[0]!.netns, pod(2)[0]),
      ]);
      return () => Promise.all(flows.map((flow) => flow.end()));
    };
    const nothingLost = { lost: 0, tcpMissing: 0, tcpError: '' };
    const allAnswer = async () => {
      for (const host of world.hosts)
        await eventually(
          () =>
            world.ask(
              host.podNetns,
              world.hosts.flatMap(({ podIps }) => [...podIps]),
            ),
          (found) => Object.values(found).every(({ tcp, udp }) => tcp.startsWith('pod') && udp.startsWith('pod')),
        );
    };

    test('keys rotate and no packet is lost; the old device goes 180 s later', async () => {
      const cluster = new Cluster(world.hosts, wireguardOf);
      await cluster.prepare();
      await world.setPodMtu(1440);
      await cluster.syncAll();
      await allAnswer();
      const before = cluster.leases.map(({ data }) => data['key.1']);
      const end = await streams();
      secret = 'a secret of the cluster'; // pre-shared keys come with the new keys
      cluster.leases[0] = { ...cluster.leases[0]!, data: await cluster.backends[0]!.rotate!() };
      expect(await cluster.backends[0]!.rotate!()).toEqual(cluster.leases[0]!.data); // one at a time
      const reports = await eventually(
        () => cluster.syncAll(),
        (all) => all.every(({ waiting, againAfterMs }) => waiting!.length === 0 && againAfterMs! > 60_000),
      );
      expect(cluster.leases.map(({ data }) => data['sendsOn'])).toEqual(['2', '2', '2']);
      expect(cluster.leases.map(generationsOf)).toEqual(Array(3).fill(['key.1', 'key.2']));
      expect(reports.flatMap(({ rejected }) => rejected)).toEqual([]);
      await cluster.backends[1]![Symbol.asyncDispose](); // a restart in between: the next process goes on with it
      cluster.backends[1] = wireguardOf(world.hosts[1]!);
      await cluster.backends[1].prepare(world.hosts[1]!.local, cluster.othersOf(1));
      aheadMs += 181_000;
      await cluster.syncAll();
      await cluster.syncAll();
      expect(cluster.leases.map(generationsOf)).toEqual(Array(3).fill(['key.2']));
      for (const [index, lease] of cluster.leases.entries()) expect(lease.data['key.2']).not.toBe(before[index]!);
      await allAnswer();
      for (const result of await end()) expect(result).toMatchObject(nothingLost);
      const links = await world.hosts[0]!.exec.run(['ip', '-o', 'link', 'show', 'type', 'tun']);
      expect(links.stdout.trim().split('\n').length).toBe(1);
      const late = createWireguardBackend({
        // a host that joins now speaks generation 2 from the start
        ...{ clusterId: 'late', node: 'late', stateFolder: join(world.hosts[0]!.folder, 'late') },
        ...{ exec: world.hosts[0]!.exec, clock, secret: () => secret },
      });
      const joined = await late.prepare(
        { ...world.hosts[0]!.local, node: 'late', subnets: ['10.77.9.0/24'] },
        cluster.leases,
      );
      expect(Object.keys(joined.data)).toContain('key.2');
      await late.purge();
    });

    test('another secret behind pre-shared keys is rejected by name', async () => {
      const own = wireguardOf(world.hosts[0]!);
      const cluster = new Cluster(world.hosts, wireguardOf);
      await cluster.prepare();
      await own.prepare(world.hosts[0]!.local);
      const wrong = { ...cluster.leases[1]!, data: { ...cluster.leases[1]!.data, 'mark.2': 'other' } };
      const { rejected } = await own.sync([wrong, cluster.leases[2]!]);
      expect(rejected).toEqual([
        { node: 'host2', reason: 'its pre-shared keys come from another secret than those of this host' },
      ]);
      await cluster.syncAll();
      await allAnswer();
    });

    test('private keys are in one file that its owner alone may read, and in no argument', async () => {
      const seen = new Set<string>();
      for (const host of world.hosts) {
        const path = join(host.folder, 'wireguard.json');
        expect(statSync(path).mode & 0o777).toBe(0o600);
        expect(statSync(host.folder).mode & 0o777).toBe(0o700);
        const { generations } = JSON.parse(readFileSync(path, 'utf8')) as { generations: { privateKey: string }[] };
        for (const { privateKey } of generations) seen.add(privateKey);
      }
      expect(seen.size).toBe(3);
      const said: string[] = [];
      const host = world.hosts[0]!;
      const listening = createWireguardBackend({
        ...{
          clusterId: 'listen',
          node: 'listen',
          stateFolder: join(host.folder, 'listen'),
          clock,
          secret: () => secret,
        },
        exec: {
          async run(argv, options) {
            const result = await host.exec.run(argv, options);
            said.push(argv.join(' '));
            return result;
          },
        },
      });
      const { data } = await listening.prepare({ ...host.local, node: 'listen', subnets: ['10.77.9.0/24'] });
      const key = JSON.parse(readFileSync(join(host.folder, 'listen', 'wireguard.json'), 'utf8')) as {
        generations: { privateKey: string }[];
      };
      expect(said.join('\n')).not.toContain(key.generations[0]!.privateKey);
      expect(JSON.stringify(data)).not.toContain(key.generations[0]!.privateKey);
      await listening.purge();
      expect(readdirSync(join(host.folder, 'listen'))).toEqual([]);
    });

    test('a port that is taken is named, and used once it is free', async () => {
      const { exec, netns, local, folder } = world.hosts[0]!;
      const port = 24_001;
      const program = `require("node:dgram").createSocket("udp4").bind(${port}, "0.0.0.0", () => console.log("up"))`;
      const rival = Bun.spawn(['nsenter', `--net=${netns}`, '--', process.execPath, '-e', program], { stdout: 'pipe' });
      await rival.stdout.getReader().read();
      const backend = createWireguardBackend({
        ...{ clusterId: 'port', node: 'port', stateFolder: join(folder, 'port'), exec, clock, basePort: port },
      });
      const prepare = () => backend.prepare({ ...local, node: 'port', subnets: ['10.77.9.0/24'] });
      expect(await rejection(prepare())).toMatchObject({
        code: 'WIREGUARD_PORT_TAKEN',
        message: `UDP port ${port} of this host is taken: the overlay cannot listen there`,
      });
      rival.kill();
      await rival.exited;
      expect((await prepare()).data['port.1']).toBe(String(port));
      await backend.purge();
    });

    test('a live cluster moves from wireguard to vxlan to host-gw and back, host by host, and no connection drops', async () => {
      const clusters = {
        wireguard: new Cluster(world.hosts, wireguardOf),
        vxlan: new Cluster(world.hosts, (host) =>
          createVxlanBackend({ clusterId: world.clusterId, node: host.local.node, exec: host.exec }),
        ),
        'host-gw': new Cluster(world.hosts, (host) =>
          createHostGatewayBackend({ clusterId: world.clusterId, stateFolder: host.folder, exec: host.exec }),
        ),
      };
      await clusters.wireguard.prepare();
      await clusters.wireguard.syncAll();
      for (const host of world.hosts) await host.exec.run(['sysctl', '-q', '-w', 'net/ipv4/conf/eth0/rp_filter=1']);
      const end = await streams();
      const move = async (from: Cluster, to: Cluster) => {
        await to.prepare();
        await to.syncAll(true); // everybody can receive both ways
        for (const index of world.hosts.keys()) {
          await to.backends[index]!.sync(to.othersOf(index));
          await from.backends[index]!.sync(from.othersOf(index), { standby: true });
          await allAnswer();
        }
        for (const backend of from.backends) await backend.purge();
        await allAnswer();
      };
      await move(clusters.wireguard, clusters.vxlan);
      await move(clusters.vxlan, clusters['host-gw']);
      await move(clusters['host-gw'], clusters.wireguard);
      for (const result of await end()) expect(result).toMatchObject(nothingLost);
      const filter = await world.hosts[0]!.exec.run(['sysctl', '-n', 'net/ipv4/conf/eth0/rp_filter']);
      expect(filter.stdout.trim()).toBe('1'); // as it was before host-gw
      for (const backend of clusters.wireguard.backends) await backend.purge();
    });
  });
