import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { Lease, LocalHost, NetworkBackend, Prepared, SyncReport } from '#net/backend';
import { eventually } from '../fixtures/eventually.ts';
import { makeOverlayHosts, type OverlayHost, type OverlayHosts } from '../fixtures/overlay-hosts.ts';

export interface BackendUnderTest {
  readonly name: string;
  /** Called again for the same host, as after a restart of the process. */
  make(host: OverlayHost, clusterId: string): NetworkBackend;
  /** Data of a lease that this backend cannot use, and a word of the reason it gives. */
  readonly broken: { readonly data: (good: Lease['data']) => Lease['data']; readonly reason: RegExp };
  /** Somebody takes away what it made on a host. */
  readonly drifts: readonly {
    readonly what: string;
    readonly argv: (host: OverlayHost) => Promise<readonly string[]>;
  }[];
}

const askMs = 500; // an answer takes a few; where one is wanted it is asked again

/** What every network backend must do, between three hosts with real packets. */
export function networkBackendContract(one: BackendUnderTest): void {
  describe(`network backend contract: ${one.name}`, () => {
    let world: OverlayHosts;
    let backends: NetworkBackend[];
    let prepared: Prepared[];
    let before: string[];
    const start = (host: OverlayHost) => one.make(host, world.clusterId);
    const leaseOf = (index: number): Lease => ({
      node: world.hosts[index]!.local.node,
      subnets: world.hosts[index]!.local.subnets,
      endpoint: prepared[index]!.endpoint,
      backend: one.name,
      data: prepared[index]!.data,
    });
    const leases = (): Lease[] => world.hosts.map((_, index) => leaseOf(index));
    const othersOf = (index: number): Lease[] => leases().filter((_, each) => each !== index);
    const syncAll = (): Promise<SyncReport[]> =>
      Promise.all(backends.map((backend, index) => backend.sync(othersOf(index))));
    const podIps = () => world.hosts.flatMap((host) => [...host.podIps]);
    const answers = async (netns: string, ips: readonly string[]) => Object.values(await world.ask(netns, ips));
    /** Which pods answer this host's pod over TCP and UDP, both families. */
    const reached = async (index: number): Promise<string[]> => {
      const found = await world.ask(world.hosts[index]!.podNetns, podIps(), askMs);
      return podIps().filter((ip) => found[ip]!.tcp.startsWith('pod') && found[ip]!.udp.startsWith('pod'));
    };
    /** Asked again until it answers: a handshake and a busy machine take their time. */
    const reaches = (index: number, wanted: readonly string[]) =>
      eventually(
        () => reached(index),
        (ips) => ips.join() === wanted.join(),
      );
    const reachesAll = (index: number) => reaches(index, podIps());
    const ofFirstTwo = () => podIps().slice(0, 4);
    const fullMesh = async () => {
      for (let index = 0; index < world.hosts.length; index++) await reachesAll(index);
    };
    /** Links, routes and addresses of a host without what differs by itself. */
    const picture = async (host: OverlayHost): Promise<string> => {
      const shown = await Promise.all(
        [
          ['ip', '-o', 'link'],
          ['ip', '-o', 'address'],
          ['ip', 'route', 'show', 'table', 'all'],
          ['ip', '-6', 'route', 'show', 'proto', '87'],
        ].map((argv) => host.exec.run(argv)),
      );
      const lines = shown.flatMap(({ stdout }) => stdout.replaceAll(/ state \w+/g, '').split('\n'));
      return lines.filter((line) => !/fe80:|^anycast|^multicast/.test(line)).join('\n'); // the kernel's own, which come and go
    };

    beforeAll(async () => {
      world = await makeOverlayHosts(3);
      before = await Promise.all(world.hosts.map(picture));
      backends = world.hosts.map(start);
      prepared = await Promise.all(backends.map((backend, index) => backend.prepare(world.hosts[index]!.local)));
      await world.setPodMtu(prepared[0]!.podMtuBytes);
    });
    afterAll(() => world?.[Symbol.asyncDispose]());

    test('pods of three hosts reach each other by TCP and UDP, IPv4 and IPv6, and see each other’s addresses', async () => {
      await reaches(0, world.hosts[0]!.podIps);
      for (const report of await syncAll()) {
        expect(report.added.length).toBe(2);
        expect(report.rejected).toEqual([]);
      }
      await fullMesh();
      const [a, b] = world.hosts as [OverlayHost, OverlayHost];
      for (const family of [0, 1] as const)
        expect((await world.ask(a.podNetns, [b.podIps[family]]))[b.podIps[family]]!.tcp).toBe(
          `pod2 ${a.podIps[family]}`,
        );
    });

    test('prepare and sync are idempotent: nothing is reported, nothing moves', async () => {
      const pictures = await Promise.all(world.hosts.map(picture));
      for (const [index, backend] of backends.entries()) {
        expect(await backend.prepare(world.hosts[index]!.local)).toEqual(prepared[index]!);
        const report = await backend.sync(othersOf(index));
        expect([report.added, report.changed, report.removed, report.rejected]).toEqual([[], [], [], []]);
        expect(report.data).toEqual(prepared[index]!.data);
      }
      expect(await Promise.all(world.hosts.map(picture))).toEqual(pictures);
    });

    test('a host reaches pods elsewhere, and a pod the addresses of other hosts', async () => {
      const [a, b] = world.hosts as [OverlayHost, OverlayHost];
      for (const { tcp, udp } of await answers(a.netns, b.podIps))
        expect([tcp, udp].every((text) => text.startsWith('pod2 '))).toBe(true);
      for (const { tcp, udp } of await answers(a.podNetns, ['10.77.2.1', 'fd77:0:0:2::1']))
        expect([tcp, udp].every((text) => text.startsWith('host2 '))).toBe(true);
    });

    test('large packets pass: the pod MTU is what the way takes', async () => {
      expect(prepared[0]!.podMtuBytes).toBe(1500 - backends[0]!.overheadBytes);
      const flow = await world.stream(world.hosts[0]!.podNetns, world.hosts[1]!.podIps[0]);
      expect(await flow.end()).toMatchObject({ lost: 0, tcpMissing: 0, tcpError: '' });
    });

    test('a restart of the process drops nothing, and the next one adopts what it finds', async () => {
      const flow = await world.stream(world.hosts[0]!.podNetns, world.hosts[1]!.podIps[0]);
      for (const [index, host] of world.hosts.entries()) {
        await backends[index]![Symbol.asyncDispose]();
        backends[index] = start(host);
        expect(await backends[index]!.prepare(host.local, othersOf(index))).toEqual(prepared[index]!);
        const report = await backends[index]!.sync(othersOf(index));
        expect([report.added, report.changed, report.rejected]).toEqual([[], [], []]);
      }
      expect(await flow.end()).toMatchObject({ lost: 0, tcpMissing: 0, tcpError: '' });
    });

    test('a peer that goes is no longer reached, and comes back', async () => {
      const gone = await backends[0]!.sync([leaseOf(1)]);
      expect([gone.added, gone.changed, gone.removed]).toEqual([[], [], ['host3']]);
      await reaches(0, ofFirstTwo());
      const back = await backends[0]!.sync(othersOf(0));
      expect([back.added, back.changed, back.removed]).toEqual([['host3'], [], []]);
      await reachesAll(0);
    });

    test('a peer that cannot be served is rejected by name, and the others work', async () => {
      const rejectedOf = async (wrong: Partial<Lease>): Promise<string> => {
        const { rejected } = await backends[0]!.sync([leaseOf(1), { ...leaseOf(2), ...wrong }]);
        expect(rejected.map(({ node }) => node)).toEqual(['host3']);
        await reaches(0, ofFirstTwo());
        return rejected[0]!.reason;
      };
      expect(await rejectedOf({ data: one.broken.data(leaseOf(2).data) })).toMatch(one.broken.reason);
      for (const [wrong, reason] of [
        [{ subnets: ['10.77.1.128/25'] }, "its subnet 10.77.1.128/25 overlaps with this host's own"],
        [{ subnets: ['10.77.3.0/240'] }, 'its subnet "10.77.3.0/240" is no range such as 10.42.3.0/24'],
        [{ subnets: leaseOf(1).subnets }, 'its subnets overlap with those of host2'],
        [{ endpoint: 'host3.example' }, 'its endpoint "host3.example" is no address'],
        [{ backend: 'other' }, `its backend is other, not ${one.name}`],
        [{ relayVia: 'nobody' }, 'its relay nobody is not reached directly'],
      ] as const) {
        const { rejected } = await backends[0]!.sync([leaseOf(1), { ...leaseOf(2), ...wrong }]);
        expect(rejected).toEqual([{ node: 'host3', reason }]);
      }
      await backends[0]!.sync(othersOf(0));
      await reachesAll(0);
    });

    test('a peer behind a relay is reached through it', async () => {
      await Promise.all([
        backends[0]!.sync([leaseOf(1), { ...leaseOf(2), relayVia: 'host2', endpoint: '172.31.77.99' }]),
        backends[2]!.sync([leaseOf(1), { ...leaseOf(0), relayVia: 'host2', endpoint: '172.31.77.99' }]),
      ]);
      await fullMesh();
      await syncAll();
      await fullMesh();
    });

    for (const drift of one.drifts)
      test(`drift is healed: ${drift.what}`, async () => {
        const argv = await drift.argv(world.hosts[0]!);
        expect(await world.hosts[0]!.exec.run(argv)).toMatchObject({ code: 0 });
        expect(await reached(0)).not.toEqual(podIps());
        const report = await backends[0]!.sync(othersOf(0));
        expect(report.changed.length).toBeGreaterThan(0);
        expect([report.added, report.removed, report.rejected]).toEqual([[], [], []]);
        await reachesAll(0);
      });

    test('a host that changes its address is reached at the new one', async () => {
      const host = world.hosts[2]!;
      const moved: LocalHost = { ...host.local, endpoint: '172.31.77.33' };
      const move = async (add: string, remove: string, local: LocalHost) => {
        await host.exec.run(['ip', 'address', 'delete', `${remove}/24`, 'dev', host.device]);
        await host.exec.run(['ip', 'address', 'add', `${add}/24`, 'dev', host.device]);
        prepared[2] = await backends[2]!.prepare(local);
        const reports = await syncAll();
        expect(reports.slice(0, 2).map(({ changed }) => changed)).toEqual([['host3'], ['host3']]);
        await fullMesh();
      };
      await move('172.31.77.33', '172.31.77.3', moved);
      expect(prepared[2]!.endpoint).toBe('172.31.77.33');
      await move('172.31.77.3', '172.31.77.33', host.local);
    });

    test('on stand-by it sends nothing and keeps what it has', async () => {
      await backends[0]!.sync(othersOf(0), { standby: true });
      await reaches(0, world.hosts[0]!.podIps);
      await backends[0]!.sync(othersOf(0));
      await reachesAll(0);
    });

    test('purge leaves nothing, and can be repeated', async () => {
      for (const [index, host] of world.hosts.entries()) {
        await start(host).purge(); // by a process that never prepared it
        await backends[index]!.purge();
      }
      expect(await Promise.all(world.hosts.map(picture))).toEqual(before);
    });
  });
}
