import { expect, test } from 'bun:test';
import { tmpdir } from 'node:os';
import { silentLog, systemClock } from '#base';
import type { ContainerSpec } from '#sdk';
import { createDockerRuntime } from '../../core/kubelet/runtimes/docker.ts';
import { DockerEngine, inspectContainer } from '../../core/kubelet/runtimes/docker-engine.ts';
import { engineContract, makeTestImage } from '../contracts/runtime-engine.ts';
import { containerSpec } from '../fixtures/container-spec.ts';
import { type PodmanEngine, podmanEngine } from '../fixtures/podman-engine.ts';
import { skipped } from '../fixtures/skipped.ts';

const engine = await podmanEngine();
const busybox = Bun.which('busybox');
if (typeof engine === 'string') skipped('e2e', 'runtime contract on podman', engine);
else if (!busybox) {
  skipped('e2e', 'runtime contract on podman', 'no busybox to make an image from');
  await engine[Symbol.asyncDispose]();
} else {
  restartTest(engine, busybox);
  engineContract('podman', engine, busybox);
}

function restartTest(podman: PodmanEngine, program: string): void {
  test('podman: what runs outlives its service; an end is told within 3 s, before and after', async () => {
    await makeTestImage(podman.socketPath, program);
    const clusterId = crypto.randomUUID().slice(0, 8);
    const runtime = await createDockerRuntime({
      socketPath: podman.socketPath,
      clusterId,
      stateFolder: tmpdir(),
      clock: systemClock,
      log: silentLog,
    });
    const uid = crypto.randomUUID();
    const pod = { podUid: uid, podName: 'kept', podNamespace: 'default' };
    const run = async (name: string) => {
      const id = await runtime.create(sleeper({ ...pod, name }));
      await runtime.start(id);
      return id;
    };
    const stateOf = async (id: string) => (await runtime.observe(uid)).containers.find((each) => each.id === id);
    const pidOf = async (id: string) => (await inspectContainer(new DockerEngine(podman.socketPath), id)).State.Pid;
    /** Kills the program and waits for the word of it. */
    const toldAfterMs = async (id: string): Promise<number> => {
      const end = new AbortController();
      const hints = runtime.changes(end.signal)[Symbol.asyncIterator]();
      await stateOf(id); // what is known from here on rests on events
      const begun = Date.now();
      process.kill(await pidOf(id), 'SIGKILL');
      while ((await stateOf(id))?.state === 'running') if ((await hints.next()).done) throw new Error('no more events');
      end.abort();
      return Date.now() - begun;
    };
    try {
      expect(`${runtime.name}://${await runtime.version()}`).toMatch(/^podman:\/\/\d+\.\d+/);
      await runtime.ensureSandbox({ ...pod, hostname: 'kept', network: 'pod', attempt: 0 });
      const [first, second] = [await run('first'), await run('second')];
      const before = await stateOf(second);
      expect(await toldAfterMs(first)).toBeLessThan(20_000);
      await podman.restart();
      expect(await stateOf(second)).toEqual(before!);
      expect((await runtime.observe(uid)).sandboxes.map((each) => each.ready)).toEqual([true]);
      const session = await runtime.exec(second, { command: ['echo', 'still here'], tty: false, stdin: false });
      expect(await Bun.readableStreamToText(session.stdout)).toBe('still here\n');
      expect(await toldAfterMs(second)).toBeLessThan(20_000);
      expect((await stateOf(second))?.exitCode).toBe(137);
    } finally {
      await runtime.removeSandbox(uid);
      await runtime[Symbol.asyncDispose]();
    }
  });
}

const sleeper = (of: { podUid: string; podName: string; podNamespace: string; name: string }): ContainerSpec =>
  containerSpec({
    ...of,
    imageId: 'pintle/test:local',
    image: 'pintle/test:local',
    command: ['sleep', '1000'],
  });
