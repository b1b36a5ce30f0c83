import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { ContainerRuntime, ContainerSpec, ContainerState, SandboxSpec, Session } from '#sdk';
import { containerSpec } from '../fixtures/container-spec.ts';
import { waitMsMax } from '../fixtures/eventually.ts';
import { readUntil } from '../fixtures/read-until.ts';
import { rejection } from '../fixtures/rejection.ts';

export interface RuntimeHarness {
  /** A fresh view of the same engine: called twice, the second must see what the first made (unless it is `forgetful`). */
  make(): Promise<ContainerRuntime>;
  /** Has `sh`, `sleep`, `echo`, `cat`. */
  readonly image: string;
  /** Keeps nothing outside this process. */
  readonly forgetful?: boolean;
  close?(): Promise<void>;
}
const never = new AbortController().signal;
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const timeoutMs = 2 * waitMsMax; // so that a wait within can say what did not come

/** What every container runtime must do. */
export function runtimeContract(name: string, start: () => Promise<RuntimeHarness>): void {
  describe(`runtime contract: ${name}`, () => {
    let harness: RuntimeHarness;
    let runtime: ContainerRuntime;
    let imageId = '';
    const pods: string[] = [];
    beforeAll(async () => {
      harness = await start();
      runtime = await harness.make();
      imageId = (await runtime.ensureImage(harness.image, 'IfNotPresent', never)).id;
    }, timeoutMs);
    afterAll(async () => {
      for (const uid of pods) await runtime?.removeSandbox(uid);
      await runtime?.[Symbol.asyncDispose]();
      await harness?.close?.();
    }, timeoutMs);

    const newPod = async (): Promise<SandboxSpec> => {
      const uid = crypto.randomUUID();
      pods.push(uid);
      const spec: SandboxSpec = {
        podUid: uid,
        podName: `pod-${pods.length}`,
        podNamespace: 'default',
        hostname: `pod-${pods.length}`,
        network: 'pod',
        attempt: 0,
      };
      await runtime.ensureSandbox(spec);
      return spec;
    };
    const container = (pod: SandboxSpec, command: readonly string[], more: Partial<ContainerSpec> = {}) =>
      containerSpec({
        podUid: pod.podUid,
        podName: pod.podName,
        podNamespace: pod.podNamespace,
        name: 'main',
        imageId,
        image: harness.image,
        command,
        env: [['GREETING', 'hello']],
        specHash: 'hash-1',
        annotations: { kept: 'yes' },
        ...more,
      });
    const run = async (pod: SandboxSpec, command: readonly string[], more: Partial<ContainerSpec> = {}) => {
      const id = await runtime.create(container(pod, command, more));
      await runtime.start(id);
      return id;
    };
    const stateOf = async (pod: SandboxSpec, id: string) =>
      (await runtime.observe(pod.podUid)).containers.find((each) => each.id === id);
    /** Waits by hints of change, and looks again at least every 500 ms. */
    const until = async (pod: SandboxSpec, id: string, wanted: (state: ContainerState) => boolean) => {
      const end = new AbortController();
      const hints = runtime.changes(end.signal)[Symbol.asyncIterator]();
      try {
        for (const deadline = Date.now() + waitMsMax; Date.now() < deadline; ) {
          const state = await stateOf(pod, id);
          if (state && wanted(state)) return state;
          await Promise.race([hints.next(), Bun.sleep(500)]);
        }
        throw new Error(`container ${id} did not get there: ${JSON.stringify(await stateOf(pod, id))}`);
      } finally {
        end.abort();
      }
    };
    const logsOf = async (id: string, options = {}) => {
      const lines: { stream: string; text: string; time: string }[] = [];
      for await (const line of runtime.logs(id, options, never))
        lines.push({ stream: line.stream, text: text(line.bytes), time: line.time });
      return lines;
    };
    const readAll = async (stream: ReadableStream<Uint8Array> | undefined) =>
      stream ? Bun.readableStreamToText(stream) : '';
    const outcome = async (session: Session) => {
      const [stdout, stderr, end] = await Promise.all([readAll(session.stdout), readAll(session.stderr), session.done]);
      return { stdout, stderr, code: end.code };
    };

    test('images: what is absent is refused by policy, a wrong name by its reason', async () => {
      expect(await rejection(runtime.ensureImage('pintle/absent:local', 'Never', never))).toMatchObject({
        reason: 'ErrImageNeverPull',
        message: 'Container image "pintle/absent:local" is not present with pull policy of Never',
      });
      expect(await rejection(runtime.ensureImage('-no!image', 'IfNotPresent', never))).toMatchObject({
        reason: 'InvalidImageName',
      });
      expect((await runtime.images()).some((image) => image.names.some((each) => each.endsWith(harness.image)))).toBe(
        true,
      );
    });

    test(
      'a container runs, is seen with all its marks, and ends with its exit code',
      async () => {
        const pod = await newPod();
        const id = await run(pod, ['sh', '-c', 'echo out; echo err >&2; exit 3']);
        const state = await until(pod, id, (each) => each.state === 'exited');
        expect(state).toMatchObject({
          podUid: pod.podUid,
          podName: pod.podName,
          podNamespace: 'default',
          name: 'main',
          attempt: 0,
          exitCode: 3,
          image: harness.image,
          imageId,
          specHash: 'hash-1',
          annotations: { kept: 'yes' },
        });
        expect(state.finishedAtMs!).toBeGreaterThanOrEqual(state.startedAtMs!);
        const lines = await logsOf(id);
        expect(lines.map(({ stream, text }) => `${stream}:${text}`).sort()).toEqual(['stderr:err\n', 'stdout:out\n']);
        expect(lines[0]!.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
        expect((await logsOf(id, { tailLines: 1 })).length).toBe(1);
        expect(await logsOf(id, { sinceMs: Date.now() + 60_000 })).toEqual([]);
      },
      timeoutMs,
    );

    test(
      'every verb is idempotent',
      async () => {
        const pod = await newPod();
        const again = await runtime.ensureSandbox(pod);
        const seen = await runtime.observe(pod.podUid);
        expect(seen.sandboxes.map((each) => each.id)).toEqual([again.id]);
        expect(seen.sandboxes[0]).toMatchObject({ ready: true, attempt: 0, podUid: pod.podUid });
        const id = await run(pod, ['sleep', '1000']);
        expect(await runtime.create(container(pod, ['sleep', '1000']))).toBe(id);
        await runtime.start(id);
        await runtime.stop(id, 0);
        await runtime.stop(id, 0);
        expect((await stateOf(pod, id))?.state).toBe('exited');
        await runtime.remove(id);
        await runtime.remove(id);
        await runtime.removeSandbox(pod.podUid);
        await runtime.removeSandbox(pod.podUid);
        expect(await runtime.observe(pod.podUid)).toEqual({ sandboxes: [], containers: [] });
      },
      timeoutMs,
    );

    test(
      'a pod that has ended: its sandbox goes, its containers and their logs stay, and all goes in the end',
      async () => {
        const pod = await newPod();
        const id = await run(pod, ['echo', 'last words']);
        await until(pod, id, ({ state }) => state === 'exited');
        await runtime.endSandbox(pod.podUid);
        await runtime.endSandbox(pod.podUid);
        const seen = await runtime.observe(pod.podUid);
        expect(seen.sandboxes).toEqual([]);
        expect(seen.containers.map((each) => [each.id, each.state])).toEqual([[id, 'exited']]);
        expect((await logsOf(id)).map((line) => line.text)).toEqual(['last words\n']);
        await runtime.removeSandbox(pod.podUid);
        expect(await runtime.observe(pod.podUid)).toEqual({ sandboxes: [], containers: [] });
      },
      timeoutMs,
    );

    test(
      'a program that is not there: start throws, and the container is seen as ended with the reason',
      async () => {
        const pod = await newPod();
        const id = await runtime.create(container(pod, ['/no/such/program']));
        expect(await rejection(runtime.start(id))).toMatchObject({ reason: 'RunContainerError' });
        const state = await stateOf(pod, id);
        expect(state).toMatchObject({ state: 'exited', exitCode: 128 });
        expect(state?.error).toContain('/no/such/program');
      },
      timeoutMs,
    );

    test(
      'stop: asks, waits the grace time, kills',
      async () => {
        const pod = await newPod();
        const id = await run(pod, ['sleep', '1000']);
        await runtime.stop(id, 1000);
        const state = await stateOf(pod, id);
        expect(state?.state).toBe('exited');
        expect([137, 143]).toContain(state?.exitCode ?? 0);
      },
      timeoutMs,
    );

    test(
      'stop asks the main program only, which may still use what it has started',
      async () => {
        if (harness.forgetful) return;
        const pod = await newPod();
        const script = 'trap "wait; exit 9" TERM; sh -c "sleep 0.5; echo finished" & echo up; wait; exit 8';
        const id = await run(pod, ['sh', '-c', script]);
        for await (const line of runtime.logs(id, { follow: true }, never)) if (text(line.bytes).includes('up')) break;
        await runtime.stop(id, 10_000);
        expect((await stateOf(pod, id))?.exitCode).toBe(9);
        expect((await logsOf(id)).map((line) => line.text)).toEqual(['up\n', 'finished\n']);
      },
      timeoutMs,
    );

    test(
      'a restart is a new container beside the old one',
      async () => {
        const pod = await newPod();
        const first = await run(pod, ['sh', '-c', 'echo first; exit 1']);
        await until(pod, first, (each) => each.state === 'exited');
        const second = await run(pod, ['sh', '-c', 'echo second; sleep 1000'], { attempt: 1 });
        expect(second).not.toBe(first);
        expect((await logsOf(first)).map((line) => line.text)).toEqual(['first\n']);
        expect((await runtime.observe(pod.podUid)).containers.map((each) => each.attempt).sort()).toEqual([0, 1]);
      },
      timeoutMs,
    );

    test(
      'followed logs end when the container does, or when the reader leaves',
      async () => {
        const pod = await newPod();
        const id = await run(pod, ['sh', '-c', 'echo one; sleep 1; echo two']);
        expect((await logsOf(id, { follow: true })).map((line) => line.text)).toEqual(['one\n', 'two\n']);
        const endless = await run(pod, ['sh', '-c', 'echo here; sleep 1000'], { name: 'endless' });
        const leave = new AbortController();
        for await (const line of runtime.logs(endless, { follow: true }, leave.signal)) {
          expect(text(line.bytes)).toBe('here\n');
          leave.abort();
        }
      },
      timeoutMs,
    );

    test(
      'exec: streams apart, exit code, half-close of stdin, a missing program',
      async () => {
        const pod = await newPod();
        const id = await run(pod, ['sleep', '1000']);
        const plain = await runtime.exec(id, {
          command: ['sh', '-c', 'echo out; echo err >&2; exit 7'],
          tty: false,
          stdin: false,
        });
        expect(await outcome(plain)).toEqual({ stdout: 'out\n', stderr: 'err\n', code: 7 });
        const echo = await runtime.exec(id, { command: ['cat'], tty: false, stdin: true });
        await echo.stdin!.write(new TextEncoder().encode('through\n'));
        echo.stdin!.end();
        expect(await outcome(echo)).toEqual({ stdout: 'through\n', stderr: '', code: 0 });
        const missing = await runtime
          .exec(id, { command: ['/no/such/program'], tty: false, stdin: false })
          .then(outcome, () => ({ code: 127 }));
        expect([126, 127, 128]).toContain(missing.code);
      },
      timeoutMs,
    );

    test(
      'exec ends with its container, and with it what it has started',
      async () => {
        if (harness.forgetful) return;
        const pod = await newPod();
        const id = await run(pod, ['sleep', '1000']);
        for (const tty of [false, true]) {
          const again = tty ? await run(pod, ['sleep', '1000'], { name: 'again' }) : id;
          const session = await runtime.exec(again, {
            command: ['sh', '-c', 'echo up; sleep 999; echo no'],
            tty,
            stdin: false,
          });
          const reader = session.stdout.getReader();
          let said = await readUntil(reader, 'up');
          await runtime.stop(again, 0);
          for (let part = await reader.read(); !part.done; part = await reader.read()) said += text(part.value); // the stream ends: nothing holds it open
          expect(said.trim()).toBe('up');
        }
      },
      timeoutMs,
    );

    test(
      'exec on a terminal: one stream, its size may come at any time',
      async () => {
        const pod = await newPod();
        const id = await run(pod, ['sleep', '1000']);
        const session = await runtime.exec(id, { command: ['sh', '-c', 'echo out; exit 5'], tty: true, stdin: true });
        expect(session.stderr).toBeUndefined();
        await session.resize(100, 30);
        expect(await outcome(session)).toMatchObject({ stdout: expect.stringMatching(/^out\r?\n$/), code: 5 });
        await session.resize(80, 24); // after the end: no error
      },
      timeoutMs,
    );

    test(
      'attach reaches the stdin and stdout of the main program',
      async () => {
        const pod = await newPod();
        const id = await run(pod, ['cat'], { stdin: true });
        // The program keeps its stdin when a reader leaves, whether that one could write or not.
        for (const word of ['ping\n', 'again\n', 'once more\n']) {
          const session = await runtime.attach(id, { tty: false, stdin: true });
          await session.stdin!.write(new TextEncoder().encode(word));
          const { value } = await session.stdout.getReader().read();
          expect(text(value!)).toBe(word);
          session.close();
          await session.done;
          (await runtime.attach(id, { tty: false, stdin: false })).close();
        }
        expect((await stateOf(pod, id))?.state).toBe('running');
      },
      timeoutMs,
    );

    test(
      'attach to a main program on a terminal: its size, its echo, and the log of it',
      async () => {
        if (harness.forgetful) return;
        const pod = await newPod();
        const id = await run(pod, ['sh', '-c', 'stty -echo; echo up; read word; stty size; echo "got $word"'], {
          stdin: true,
          tty: true,
        });
        for await (const line of runtime.logs(id, { follow: true }, never)) if (text(line.bytes).includes('up')) break;
        const session = await runtime.attach(id, { tty: true, stdin: true });
        expect(session.stderr).toBeUndefined();
        await session.resize(99, 33);
        const said = readAll(session.stdout);
        await session.stdin!.write(new TextEncoder().encode('word\n'));
        expect(await said).toContain('33 99\r\ngot word');
        expect((await logsOf(id)).map((line) => line.text).join('')).toContain('got word');
      },
      timeoutMs,
    );

    test(
      'a pod whose sandbox is made again has exactly one, ready and new',
      async () => {
        const pod = await newPod();
        const old = await runtime.ensureSandbox(pod);
        const renewed = await runtime.ensureSandbox({ ...pod, attempt: 1 });
        expect(renewed.id).not.toBe(old.id);
        const { sandboxes } = await runtime.observe(pod.podUid);
        expect(sandboxes.map(({ id, ready, attempt }) => ({ id, ready, attempt }))).toEqual([
          { id: renewed.id, ready: true, attempt: 1 },
        ]);
      },
      timeoutMs,
    );

    test(
      'what runs is adopted by the next process, untouched',
      async () => {
        if (harness.forgetful) return;
        const pod = await newPod();
        const id = await run(pod, ['sh', '-c', 'echo kept; sleep 1000']);
        const before = await until(pod, id, (each) => each.state === 'running');
        await runtime[Symbol.asyncDispose]();
        runtime = await harness.make();
        expect(await stateOf(pod, id)).toEqual(before);
        expect((await runtime.ensureSandbox(pod)).id).toBe((await runtime.observe(pod.podUid)).sandboxes[0]!.id);
        for await (const line of runtime.logs(id, { follow: true }, never)) {
          expect(text(line.bytes)).toBe('kept\n'); // followed: it may not have been written yet
          break;
        }
        await run(pod, ['sh', '-c', 'exit 0'], { name: 'late' });
        await runtime.stop(id, 0);
        expect((await stateOf(pod, id))?.exitCode).toBe(137);
      },
      timeoutMs,
    );

    test(
      'a second process beside the first sees what is made and removed later, and can stop it',
      async () => {
        if (harness.forgetful) return;
        const beside = await harness.make();
        try {
          const pod = await newPod();
          const id = await run(pod, ['sleep', '1000']);
          expect((await beside.observe(pod.podUid)).containers.map((each) => each.id)).toEqual([id]);
          expect((await beside.observe()).containers.some((each) => each.id === id)).toBe(true);
          await beside.stop(id, 0);
          expect((await until(pod, id, (each) => each.state === 'exited')).exitCode).toBe(137);
          await runtime.removeSandbox(pod.podUid);
          expect(await beside.observe(pod.podUid)).toEqual({ sandboxes: [], containers: [] });
        } finally {
          await beside[Symbol.asyncDispose]();
        }
      },
      timeoutMs,
    );

    test(
      'stats of what runs',
      async () => {
        const pod = await newPod();
        await run(pod, ['sleep', '1000'], { name: 'measured' });
        const sampled = async () => (await runtime.stats()).find((each) => each.podUid === pod.podUid);
        let sample = await sampled();
        for (let looks = 0; looks < 100 && !sample?.memoryWorkingSetBytes; looks++) sample = await sampled(); // none while a program replaces itself
        expect(sample?.container).toBe('measured');
        expect(sample!.memoryWorkingSetBytes).toBeGreaterThan(0);
      },
      timeoutMs,
    );
  });
}
