import { afterAll, expect, test } from 'bun:test';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog, systemClock } from '#base';
import { createDockerRuntime } from '../../core/kubelet/runtimes/docker.ts';
import { dialectOf } from '../../core/kubelet/runtimes/docker-dialect.ts';
import { DockerEngine } from '../../core/kubelet/runtimes/docker-engine.ts';
import { importImage } from '../../core/kubelet/runtimes/docker-images.ts';
import { tar } from '../../core/kubelet/runtimes/tar.ts';
import type { TestEngine } from '../fixtures/docker-engine.ts';
import { waitMsMax } from '../fixtures/eventually.ts';
import { runtimeContract } from './runtime.ts';

export async function makeTestImage(socketPath: string, busybox: string): Promise<void> {
  const links = ['sh', 'sleep', 'echo', 'cat', 'true', 'id', 'hostname', 'touch', 'grep', 'ps', 'tail'].map(
    (name) => ({ type: 'link', name: `bin/${name}`, target: 'busybox' }) as const,
  );
  await importImage(
    new DockerEngine(socketPath),
    'pintle/test',
    'local',
    tar([
      { type: 'folder', name: 'bin' },
      { type: 'file', name: 'bin/busybox', mode: 0o755, bytes: Bun.file(busybox) },
      ...links,
    ]),
    ['CMD ["sh"]'],
  );
}

/** The contract and more on an engine that serves Docker's API. It stops the engine at its end. */
export function engineContract(name: string, engine: TestEngine, busybox: string): void {
  runtimeContract(name, async () => {
    await makeTestImage(engine.socketPath, busybox);
    const stateFolder = mkdtempSync(join(tmpdir(), 'pintle-docker-'));
    const clusterId = crypto.randomUUID().slice(0, 8);
    return {
      image: 'pintle/test:local',
      make: () =>
        createDockerRuntime({
          socketPath: engine.socketPath,
          clusterId,
          stateFolder,
          clock: systemClock,
          log: silentLog,
        }),
      async close() {
        rmSync(stateFolder, { recursive: true, force: true });
      },
    };
  });
  securityTest(name, engine, busybox);
  afterAll(() => engine[Symbol.asyncDispose](), 60_000); // also when a filter leaves out the last test
}

/** Podman's monitor does not note it with version 1 of cgroups: the container has ended by signal 9, for no told reason. */
async function tellsOom(socketPath: string): Promise<boolean> {
  const engine = new DockerEngine(socketPath);
  const { CgroupVersion } = await engine.call<{ CgroupVersion?: string }>('GET', '/info');
  return (await dialectOf(engine)).product === 'Docker' || CgroupVersion === '2';
}

/** What a pod's spec asks of the engine, seen from inside the container. */
function securityTest(name: string, engine: TestEngine, busybox: string): void {
  test(`${name}: user, groups, capabilities, read-only root, mounts, memory and shared processes are in force`, async () => {
    await makeTestImage(engine.socketPath, busybox);
    const folder = mkdtempSync(join(tmpdir(), 'pintle-docker-'));
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, 'file'), 'mounted\n');
    const runtime = await createDockerRuntime({
      socketPath: engine.socketPath,
      clusterId: crypto.randomUUID().slice(0, 8),
      stateFolder: folder,
      clock: systemClock,
      log: silentLog,
    });
    const pod = { podUid: crypto.randomUUID(), podName: 'secure', podNamespace: 'default' };
    try {
      const { id: imageId } = await runtime.ensureImage(
        'pintle/test:local',
        'IfNotPresent',
        AbortSignal.timeout(waitMsMax),
      );
      await runtime.ensureSandbox({ ...pod, hostname: 'secure', network: 'pod', attempt: 0, sharePid: true });
      const script =
        'id; hostname; cat /data/file; touch /new; touch /data/new; grep -E "NoNewPrivs|CapEff" /proc/1/status /proc/self/status; ps';
      const base = {
        ...pod,
        attempt: 0,
        imageId,
        image: 'pintle/test:local',
        env: [],
        tty: false,
        stdin: false,
        stdinOnce: false,
        mounts: [{ hostPath: folder, containerPath: '/data', readOnly: true }],
        specHash: 'h',
      };
      const security = {
        privileged: false,
        readOnlyRoot: true,
        noNewPrivileges: true,
        capabilitiesAdd: [],
        capabilitiesDrop: ['ALL'],
      };
      const id = await runtime.create({
        ...base,
        name: 'main',
        command: ['sh', '-c', script],
        security: { ...security, runAsUser: 1234, runAsGroup: 55, supplementalGroups: [77] },
        resources: { oomScoreAdj: -997, cpuShares: 100 },
      });
      await runtime.start(id);
      let out = '';
      for await (const line of runtime.logs(id, { follow: true }, AbortSignal.timeout(waitMsMax)))
        out += new TextDecoder().decode(line.bytes);
      expect(out).toMatch(/uid=1234\S* gid=55\S* groups=55\S*,77\n/); // Podman gives the user a name
      for (const text of ['secure\n', 'mounted\n', '/new: Read-only file system', '/data/new: Read-only file system'])
        expect(out).toContain(text);
      expect(out).toMatch(/self\/status:NoNewPrivs:\s+1/);
      expect(out).toMatch(/self\/status:CapEff:\s+0+\n/);
      expect(out).toContain('/pause'); // the pod's processes are shared
      const greedy = await runtime.create({
        ...base,
        name: 'greedy',
        command: ['sh', '-c', 'tail /dev/zero'],
        security: { ...security, readOnlyRoot: false },
        resources: { memoryLimitBytes: 16 * 1024 * 1024 },
      });
      await runtime.start(greedy);
      for await (const _line of runtime.logs(greedy, { follow: true }, AbortSignal.timeout(waitMsMax)));
      const look = async () => (await runtime.observe(pod.podUid)).containers.find((each) => each.id === greedy);
      let state = await look(); // the log may end a moment before the engine has noted the end
      for (const end = Date.now() + waitMsMax; state?.state === 'running' && Date.now() < end; ) {
        await Bun.sleep(50);
        state = await look();
      }
      expect(state).toMatchObject({ state: 'exited', exitCode: 137, oomKilled: await tellsOom(engine.socketPath) });
    } finally {
      await runtime.removeSandbox(pod.podUid);
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
