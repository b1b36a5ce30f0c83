import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog, systemClock } from '#base';
import { createProcessRuntime } from '../../core/kubelet/runtimes/process.ts';
import { imageFolder } from '../../core/kubelet/runtimes/process-images.ts';
import { runtimeContract } from './runtime.ts';

runtimeContract('process', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-process-'));
  const image = imageFolder(folder, 'pintle/test:local');
  mkdirSync(join(image, 'root'), { recursive: true });
  writeFileSync(
    join(image, 'image.json'),
    JSON.stringify({ names: ['pintle/test:local'], entrypoint: [], command: ['sh'], env: {} }),
  );
  return {
    image: 'pintle/test:local',
    make: () => createProcessRuntime({ folder, clusterId: 'test', clock: systemClock, log: silentLog }),
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
});
