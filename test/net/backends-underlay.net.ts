import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, systemExec } from '#base';
import type { Lease, NetworkBackend, Prepared } from '#net/backend';
import { createHostGatewayBackend } from '../../net/backends/host-gw.ts';
import { createVxlanBackend } from '../../net/backends/vxlan.ts';
import { createWireguardBackend } from '../../net/backends/wireguard.ts';
import { eventually } from '../fixtures/eventually.ts';
import { makeOverlayHosts, type OverlayHost, type OverlayHosts } from '../fixtures/overlay-hosts.ts';
import { skipped } from '../fixtures/skipped.ts';

const traffic = join(import.meta.dir, '../fixtures/overlay-traffic.ts');
const run = async (netns: string, ...argv: string[]): Promise<string> => {
  const result = await systemExec.run(argv, { netns, timeoutMs: 60_000 });
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stderr}`);
  return result.stdout;
};
const makeWireguard = (world: OverlayHosts, host: OverlayHost, keepaliveS = 25) =>
  createWireguardBackend({
    ...{ clusterId: world.clusterId, node: host.local.node, stateFolder: host.folder },
    ...{ exec: host.exec, clock: systemClock, keepaliveS },
  });

/** Backends of all hosts, prepared; `leaseOf` is what each publishes. */
async function prepareAll(world: OverlayHosts, make: (host: OverlayHost) => NetworkBackend) {
  const backends = world.hosts.map(make);
  const prepared: Prepared[] = [];
  for (const [index, backend] of backends.entries()) prepared.push(await backend.prepare(world.hosts[index]!.local));
  await world.setPodMtu(prepared[0]!.podMtuBytes);
  const leaseOf = (index: number, more: Partial<Lease> = {}): Lease => ({
    ...world.hosts[index]!.local,
    ...{ backend: backends[index]!.name, data: prepared[index]!.data },
    ...more,
  });
  return { backends, prepared, leaseOf, purge: () => Promise.all(backends.map((backend) => backend.purge())) };
}
const meshAnswers = async (world: OverlayHosts) => {
  for (const host of world.hosts)
    await eventually(
      () =>
        world.ask(
          host.podNetns,
          world.hosts.map(({ podIps }) => podIps[0]),
        ),
      (found) => Object.values(found).every(({ tcp, udp }) => tcp.startsWith('pod') && udp.startsWith('pod')),
    );
};

if (process.getuid?.() !== 0) skipped('net', 'overlays over odd underlays', 'namespaces need root');
else if (!Bun.which('wg') || !Bun.which('wireguard-go'))
  skipped('net', 'overlays over odd underlays', 'wg or wireguard-go is not installed');
else
  describe('overlays over odd underlays', () => {
    if (!Bun.which('tcpdump')) skipped('net', 'captures of the underlay', 'tcpdump is not installed');
    else
      test('nothing of what pods say can be read on the underlay under wireguard; under vxlan it can', async () => {
        await using world = await makeOverlayHosts(2);
        const [a, b] = world.hosts as [OverlayHost, OverlayHost];
        const captured = async (make: (host: OverlayHost) => NetworkBackend): Promise<string> => {
          const { backends, leaseOf, purge } = await prepareAll(world, make);
          for (const backend of backends) await backend.sync([leaseOf(0), leaseOf(1)]);
          await meshAnswers(world);
          const file = join(a.folder, `${backends[0]!.name}.pcap`);
          const argv = [
            'nsenter',
            `--net=${world.underlay}`,
            '--',
            'tcpdump',
            '-i',
            'h1',
            '-U',
            '-w',
            file,
            '-Z',
            'root',
          ];
          const dump = Bun.spawn(argv, { stderr: 'pipe', stdout: 'ignore' });
          const reader = dump.stderr.getReader();
          for (let said = ''; !said.includes('listening on'); )
            said += new TextDecoder().decode((await reader.read()).value);
          const answers = await world.ask(a.podNetns, b.podIps);
          for (const { tcp, udp } of Object.values(answers))
            expect([tcp, udp].every((text) => text.startsWith('pod2 '))).toBe(true);
          await eventually(
            () => Bun.file(file).size,
            (size) => size > 1_500,
          );
          dump.kill('SIGINT');
          await dump.exited;
          await purge();
          return readFileSync(file, 'latin1');
        };
        const encrypted = await captured((host) => makeWireguard(world, host));
        expect(encrypted.length).toBeGreaterThan(1_500);
        for (const plain of ['who', 'pod2 ', '10.77.1.2', '\x0a\x4d\x01\x02\x0a\x4d\x02\x02'])
          expect(encrypted).not.toContain(plain);
        const open = await captured((host) =>
          createVxlanBackend({ clusterId: world.clusterId, node: host.local.node, exec: host.exec }),
        );
        for (const plain of ['who', 'pod2 10.77.1.2', '\x0a\x4d\x01\x02\x0a\x4d\x02\x02'])
          expect(open).toContain(plain);
      });

    test('hosts behind address translation: seen where their packets come from, and each other through a relay', async () => {
      await using world = await makeOverlayHosts(3);
      const [, b, c] = world.hosts as [OverlayHost, OverlayHost, OverlayHost];
      await putBehindRouter(world, [b, c]);
      const privateIps = new Map([b, c].map((host, index) => [host, `192.168.${index + 2}.2`]));
      const behind = {
        ...world,
        hosts: world.hosts.map((host) => ({
          ...host,
          local: { ...host.local, endpoint: privateIps.get(host) ?? host.local.endpoint },
        })),
      };
      const { backends, leaseOf, purge } = await prepareAll(behind, (host) => makeWireguard(world, host, 1));
      const relayed = { relayVia: 'host1' };
      const syncAll = async () => {
        await backends[0]!.sync([leaseOf(1), leaseOf(2)]);
        await backends[1]!.sync([leaseOf(0), leaseOf(2, relayed)]);
        await backends[2]!.sync([leaseOf(0), leaseOf(1, relayed)]);
      };
      await syncAll();
      await meshAnswers(world);
      for (const { node, seenEndpoint } of await backends[0]!.sights!()) {
        expect(['host2', 'host3']).toContain(node);
        expect(seenEndpoint).toMatch(/^172\.31\.77\.254:\d+$/); // the router's address, not the private one of the lease
      }
      const end = await world.stream(b.podNetns, c.podIps[0]);
      for (let round = 0; round < 3; round++) await syncAll(); // and it stays so: a look does not go back to the lease's endpoint
      expect(await end.end()).toMatchObject({ lost: 0, tcpMissing: 0, tcpError: '' });
      const again = makeWireguard(world, world.hosts[0]!, 1); // nor does the next process
      await again.prepare(behind.hosts[0]!.local);
      await again.sync([leaseOf(1), leaseOf(2)]);
      await meshAnswers(world);
      await purge();
    });

    test('over an IPv6 underlay each backend carries both families', async () => {
      await using world = await makeOverlayHosts(2);
      const hosts = world.hosts.map((host, index) => ({
        ...host,
        local: { ...host.local, endpoint: `fd31:77::${index + 1}` },
      }));
      const { clusterId } = world;
      const makers: readonly [number, (host: OverlayHost) => NetworkBackend][] = [
        [1408, (host) => makeWireguard(world, host)],
        [1430, ({ local, exec }) => createVxlanBackend({ clusterId, node: local.node, exec })],
        [1500, ({ folder, exec }) => createHostGatewayBackend({ clusterId, stateFolder: folder, exec })],
      ];
      for (const [podMtuBytes, make] of makers) {
        const { backends, prepared, leaseOf, purge } = await prepareAll({ ...world, hosts }, make);
        expect(prepared[0]!.podMtuBytes).toBe(podMtuBytes);
        for (const backend of backends) expect((await backend.sync([leaseOf(0), leaseOf(1)])).rejected).toEqual([]);
        await eventually(
          () => world.ask(hosts[0]!.podNetns, hosts[1]!.podIps),
          (found) => Object.values(found).every(({ tcp, udp }) => tcp.startsWith('pod2') && udp.startsWith('pod2')),
        );
        for (const backend of backends) {
          const { added, changed } = await backend.sync([leaseOf(0), leaseOf(1)]);
          expect([added, changed]).toEqual([[], []]);
        }
        await purge();
      }
    });

    test('the MTU of the way is measured, also where a switch drops without a word; a cut on a live link is noticed', async () => {
      await using world = await makeOverlayHosts(2);
      const [a, b] = world.hosts as [OverlayHost, OverlayHost];
      const measured = async (knownBytes: number) => {
        const ips = ['172.31.77.2', 'fd31:77::2', '172.31.77.99'];
        return JSON.parse(
          await run(a.netns, process.execPath, traffic, 'paths', String(knownBytes), ...ips),
        ) as unknown;
      };
      const ofBoth = (bytes: number) => ({ '172.31.77.2': bytes, 'fd31:77::2': bytes }); // nobody is at the third
      expect(await measured(1500)).toEqual(ofBoth(1500));
      const { backends, prepared, leaseOf, purge } = await prepareAll(world, (host) => makeWireguard(world, host));
      for (const backend of backends) await backend.sync([leaseOf(0), leaseOf(1)]);
      await meshAnswers(world);
      await run(world.underlay, 'ip', 'link', 'set', 'dev', 'h2', 'mtu', '1400');
      await run(b.netns, 'ip', 'link', 'set', 'dev', 'eth0', 'mtu', '1500');
      expect(await measured(1500)).toEqual(ofBoth(1400));
      const before = { ...prepared[0]! };
      for (const [index, backend] of backends.entries()) {
        const smaller = await backend.prepare({ ...world.hosts[index]!.local, underlayMtuBytes: 1400 });
        expect([before.podMtuBytes, smaller.podMtuBytes]).toEqual([1440, 1328]);
        await backend.sync([leaseOf(0), leaseOf(1)]);
      }
      await world.setPodMtu(1328);
      const large = await run(a.podNetns, process.execPath, traffic, 'paths', '1328', b.podIps[0]);
      expect(JSON.parse(large)).toEqual({ [b.podIps[0]]: 1328 }); // a whole packet of a pod fits into one of the underlay
      await run(world.underlay, 'ip', 'link', 'set', 'dev', 'h2', 'mtu', '1500');
      expect(await measured(1400)).toEqual(ofBoth(1500));
      await purge();
    });
  });

/** The switch becomes a router that translates: these hosts get private networks behind it and do not reach each other. */
async function putBehindRouter(world: OverlayHosts, hosts: readonly OverlayHost[]): Promise<void> {
  const { underlay } = world;
  await run(underlay, 'ip', 'address', 'add', '172.31.77.254/24', 'dev', 'sw0');
  await run(underlay, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
  const rules = `table ip translate {
  chain forward { type filter hook forward priority 0; ip saddr 192.168.0.0/16 ip daddr 192.168.0.0/16 drop; }
  chain post { type nat hook postrouting priority 100; oifname "sw0" masquerade random; }
}`.replaceAll('}', '\n}');
  const loaded = await systemExec.run(['nft', '-f', '-'], { netns: underlay, stdin: `${rules}\n` });
  if (loaded.code !== 0) throw new Error(loaded.stderr);
  for (const [index, host] of hosts.entries()) {
    const port = `h${index + 2}`;
    await run(underlay, 'ip', 'link', 'set', 'dev', port, 'nomaster');
    await run(underlay, 'ip', 'address', 'add', `192.168.${index + 2}.1/24`, 'dev', port);
    await run(host.netns, 'ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global');
    await run(host.netns, 'ip', 'address', 'add', `192.168.${index + 2}.2/24`, 'dev', 'eth0');
    await run(host.netns, 'ip', 'route', 'add', 'default', 'via', `192.168.${index + 2}.1`);
  }
}
