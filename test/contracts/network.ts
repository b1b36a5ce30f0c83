import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { Exec } from '#base';
import type { PodNetwork } from '#net/pod';

export interface NetworkHarness {
  /** Called twice, the second as after a restart of the process. */
  make(): PodNetwork;
  /** Runs in the host's namespace. */
  readonly exec: Exec;
  /** A new namespace that plays a pod; its path. */
  newPod(name: string): Promise<string>;
  removePod(name: string): Promise<void>;
  /** An address beyond the host, and how it sees the pod's traffic coming: the host's outer address. */
  readonly outside: { readonly ip: string; readonly netns: string; readonly hostIp: string };
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
    const pod = async (uid: string) => ({ uid, netnsPath: await harness.newPod(uid), name: uid, namespace: 'default' });

    test('pods get different addresses and reach each other, themselves, the host and the world', async () => {
      const [a, b] = [await pod('pod-a'), await pod('pod-b')];
      const first = await network.attach(a);
      const second = await network.attach(b);
      expect(first.ips[0]).not.toBe(second.ips[0]);
      expect(await ping(a.netnsPath, second.ips[0]!)).toBe(0);
      expect(await ping(b.netnsPath, first.ips[0]!)).toBe(0);
      expect(await ping(a.netnsPath, first.ips[0]!)).toBe(0);
      expect(await ping(a.netnsPath, '127.0.0.1')).toBe(0);
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
      expect(attachment.ips.length).toBe(1);
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

    test('a host port leads into the pod', async () => {
      const one = await pod('pod-port');
      await network.attach({ ...one, hostPorts: [{ protocol: 'tcp', hostPort: 8099, podPort: 8080 }] });
      const server = Bun.spawn(
        [
          'nsenter',
          `--net=${one.netnsPath}`,
          process.execPath,
          '-e',
          'Bun.serve({port:8080,fetch:()=>new Response("pod-port")});console.log("up")',
        ],
        { stdout: 'pipe', stderr: 'ignore' },
      );
      try {
        await server.stdout.getReader().read();
        const got = await harness.exec.run(
          [process.execPath, '-e', `console.log(await (await fetch("http://${harness.outside.hostIp}:8099")).text())`],
          { netns: harness.outside.netns, timeoutMs: 30_000 },
        );
        expect(got.stdout).toBe('pod-port\n');
        const local = await harness.exec.run(
          [process.execPath, '-e', 'console.log(await (await fetch("http://127.0.0.1:8099")).text())'],
          { timeoutMs: 30_000 },
        );
        expect(local.stdout).toBe('pod-port\n');
      } finally {
        server.kill();
        await server.exited;
      }
      await network.detach({ uid: 'pod-port' });
    });
  });
}
