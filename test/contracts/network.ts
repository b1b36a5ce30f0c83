import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { Exec } from '#base';
import type { HostPort, PodNetwork } from '#net/pod';
import { until } from '../fixtures/eventually.ts';
import { NetnsSocket } from '../fixtures/netns-sockets.ts';
import { rejection } from '../fixtures/rejection.ts';

export interface NetworkHarness {
  /** Called twice, the second as after a restart of the process. */
  make(): PodNetwork;
  /** Runs in the host's namespace. */
  readonly exec: Exec;
  readonly hostNetns: string;
  /** A new namespace that plays a pod; its path. */
  newPod(name: string): Promise<string>;
  removePod(name: string): Promise<void>;
  /** An address beyond the host, and how it sees the pod's traffic coming: the host's outer address. */
  readonly outside: { readonly ip: string; readonly netns: string; readonly hostIp: string };
  /** The same in IPv6, for a network of both families. */
  readonly outside6?: { readonly ip: string; readonly hostIp: string };
  /** More than a test sends may pass before its bandwidth is held: the network's own choice. */
  readonly burstBits?: boolean;
  close(): Promise<void>;
}

/** What every pod network must do, in namespaces. */
export function networkContract(name: string, start: () => Promise<NetworkHarness>): void {
  describe(`network contract: ${name}`, () => {
    let harness: NetworkHarness;
    let network: PodNetwork;
    beforeAll(async () => {
      harness = await start();
      network = harness.make();
      await network.prepare();
    });
    afterAll(async () => {
      await network?.purge();
      await harness?.close();
    });
    /** A refused connection is an answer too: 0. Nothing within 20 s, or no way there: 1. */
    const probe = `const socket = require("node:net").connect(9, process.argv.at(-1));
      const end = (code) => process.exit(code);
      socket.once("connect", () => end(0)).once("error", (error) => end(error.code === "ECONNREFUSED" ? 0 : 1));
      setTimeout(() => end(1), 20_000);`;
    const ping = async (netns: string, ip: string) =>
      (await harness.exec.run([process.execPath, '-e', probe, '--', ip], { netns })).code;
    const families = () => (harness.outside6 ? 2 : 1);
    const pod = async (uid: string) => ({ uid, netnsPath: await harness.newPod(uid), name: uid, namespace: 'default' });

    test('pods get different addresses and reach each other, themselves, the host and the world', async () => {
      const [a, b] = [await pod('pod-a'), await pod('pod-b')];
      const first = await network.attach(a);
      const second = await network.attach(b);
      expect(new Set([...first.ips, ...second.ips]).size).toBe(2 * families());
      for (const ip of second.ips) expect(await ping(a.netnsPath, ip)).toBe(0);
      for (const ip of first.ips) {
        expect(await ping(b.netnsPath, ip)).toBe(0);
        expect(await ping(a.netnsPath, ip)).toBe(0);
        expect((await harness.exec.run([process.execPath, '-e', probe, '--', ip])).code).toBe(0); // the host
      }
      expect(await ping(a.netnsPath, '127.0.0.1')).toBe(0);
      if (harness.outside6) expect(await ping(a.netnsPath, harness.outside6.ip)).toBe(0);
      expect(await ping(a.netnsPath, harness.outside.ip)).toBe(0); // the outside has no route back: masquerade works
      expect(await network.attached()).toEqual(
        expect.arrayContaining([
          { uid: 'pod-a', ips: first.ips },
          { uid: 'pod-b', ips: second.ips },
        ]),
      );
    });

    test('attach is idempotent, also for the next process, and prepare disturbs nothing', async () => {
      const one = await pod('pod-again');
      const first = await network.attach(one);
      const linkOf = async () =>
        (await harness.exec.run(['ip', '-o', 'link', 'show', 'dev', 'eth0'], { netns: one.netnsPath })).stdout;
      const before = await linkOf();
      expect(await network.attach(one)).toEqual(first);
      network = harness.make();
      await network.prepare();
      expect(await network.attach(one)).toEqual(first);
      expect(await linkOf()).toBe(before);
      expect(await ping(one.netnsPath, harness.outside.ip)).toBe(0);
    });

    test('a sandbox that died: the pod gets a working network in its new namespace', async () => {
      const one = await pod('pod-renewed');
      await network.attach(one);
      await harness.removePod('pod-renewed');
      const next = await pod('pod-renewed');
      const attachment = await network.attach(next);
      expect(attachment.ips.length).toBe(families());
      expect(await ping(next.netnsPath, harness.outside.ip)).toBe(0);
    });

    test('detach is idempotent, works without the namespace, and leaves no address', async () => {
      const one = await pod('pod-gone');
      await network.attach(one);
      await harness.removePod('pod-gone');
      await network.detach({ uid: 'pod-gone' });
      await network.detach({ uid: 'pod-gone' });
      expect((await network.attached()).some((each) => each.uid === 'pod-gone')).toBe(false);
    });

    test('host ports lead into the pod: of both families, on one address, and gone with the pod', async () => {
      const one = await pod('pod-port');
      const hostPorts: HostPort[] = [
        { protocol: 'tcp', hostPort: 8099, podPort: 8080 },
        { protocol: 'udp', hostPort: 8098, podPort: 8081 },
        { protocol: 'tcp', hostPort: 8097, podPort: 8080, hostIp: harness.outside6?.hostIp ?? harness.outside.hostIp },
      ];
      const { ips } = await network.attach({ ...one, hostPorts });
      using stack = new DisposableStack();
      for (const ip of ips) stack.use(NetnsSocket.listen(one.netnsPath, 'tcp', ip, 8080));
      const datagrams = ips.map((ip) => stack.use(NetnsSocket.listen(one.netnsPath, 'udp', ip, 8081)));
      const reaches = async (from: string, ip: string, port: number) => {
        using socket = NetnsSocket.connect(from, ip, port);
        await until(() => socket.isConnected);
      };
      const { netns, hostIp } = harness.outside;
      const hostIps = [hostIp, ...(harness.outside6 ? [harness.outside6.hostIp] : [])];
      for (const [index, ip] of hostIps.entries()) {
        await reaches(netns, ip, 8099);
        using sender = NetnsSocket.make(netns, 'udp', ip);
        await until(() => sender.send('hello', ip, 8098) && datagrams[index]!.read() === 'hello');
      }
      await reaches(netns, hostIps.at(-1)!, 8097);
      await reaches(harness.hostNetns, '127.0.0.1', 8099); // programs of the host itself
      await network.detach({ uid: 'pod-port' });
      using refused = NetnsSocket.connect(netns, hostIp, 8099);
      await until(() => refused.hasEnded);
      expect(refused.isConnected).toBe(false);
    });

    test('bandwidth is held in both directions', async () => {
      const slowBps = 40e6;
      const [free, slow] = [await pod('pod-free'), await pod('pod-slow')];
      const { ips: freeIps } = await network.attach({ ...free, bandwidth: {} });
      const { ips } = await network.attach({ ...slow, bandwidth: { ingressBps: slowBps, egressBps: slowBps } });
      /** Megabits a second of one stream; a few buffers more than the limit fit into its first moments. */
      const measure = async (from: string, to: string, ip: string) => {
        const server = Bun.spawn(['nsenter', `--net=${to}`, process.execPath, '-e', sinkCode], { stdout: 'pipe' });
        try {
          const reader = server.stdout.getReader();
          await reader.read();
          await harness.exec.run([process.execPath, '-e', sourceCode, '--', ip], { netns: from, timeoutMs: 60_000 });
          return Number(new TextDecoder().decode((await reader.read()).value));
        } finally {
          server.kill();
          await server.exited;
        }
      };
      const into = await measure(free.netnsPath, slow.netnsPath, ips[0]!);
      const outOf = await measure(slow.netnsPath, free.netnsPath, freeIps[0]!);
      for (const rate of [into, outOf]) {
        expect(rate).toBeLessThan(harness.burstBits ? Number.POSITIVE_INFINITY : (slowBps / 1e6) * 1.35);
        expect(rate).toBeGreaterThan(1); // a machine that is busy with others is slow, too
      }
    });

    test('the largest packet is changed for pods that are here and those that come', async () => {
      if (!network.setMtu) return;
      const one = await pod('pod-mtu');
      await network.attach(one);
      await network.setMtu(1380);
      const two = await pod('pod-mtu-next');
      await network.attach(two);
      for (const { netnsPath } of [one, two]) {
        const shown = await harness.exec.run(['ip', '-o', 'link', 'show', 'dev', 'eth0'], { netns: netnsPath });
        expect(shown.stdout).toContain('mtu 1380');
      }
      await network.setMtu(1500);
      expect((await rejection(network.setMtu(10))).message).toContain('10 is no MTU');
    });
  });
}

/** Counts what comes by one connection for a second from its first byte. */
const sinkCode = `let bytes = 0, from = 0;
  Bun.listen({ hostname: '0.0.0.0', port: 7000, socket: { data(socket, data) {
    from ||= performance.now();
    bytes += data.length;
    const ms = performance.now() - from;
    if (ms > 1500) { console.log((bytes * 8) / ms / 1000); socket.end(); from = Infinity; }
  } } });
  console.log('up');`;
const sourceCode = `const block = new Uint8Array(262144);
  const fill = (socket) => { while (socket.write(block) === block.length); };
  Bun.connect({ hostname: process.argv.at(-1), port: 7000, socket: { open: fill, drain: fill, data() {}, close: () => process.exit() } });`;
