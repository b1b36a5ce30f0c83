import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog, systemClock } from '#base';
import { createDockerRuntime } from '../../core/kubelet/runtimes/docker.ts';
import { importImage } from '../../core/kubelet/runtimes/docker-images.ts';
import { tar } from '../../core/kubelet/runtimes/tar.ts';
import { runtimeContract } from '../contracts/runtime.ts';
import { testEngine } from '../fixtures/docker-engine.ts';

const engine = await testEngine();
const busybox = Bun.which('busybox');
if (typeof engine === 'string') console.log(`skipped: runtime contract on docker: ${engine}`);
else if (!busybox) {
  console.log('skipped: runtime contract on docker: no busybox to make an image from');
  await engine[Symbol.asyncDispose]();
} else
  runtimeContract('docker', async () => {
    const { default: Docker } = await import('dockerode');
    const links = ['sh', 'sleep', 'echo', 'cat', 'true', 'nc'].map(
      (name) => ({ type: 'link', name: `bin/${name}`, target: 'busybox' }) as const,
    );
    await importImage(
      new Docker({ socketPath: engine.socketPath }),
      'pintle/test',
      'local',
      tar([
        { type: 'folder', name: 'bin' },
        { type: 'file', name: 'bin/busybox', mode: 0o755, bytes: Bun.file(busybox) },
        ...links,
      ]),
      ['CMD ["sh"]'],
    );
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
        await engine[Symbol.asyncDispose]();
      },
    };
  });
