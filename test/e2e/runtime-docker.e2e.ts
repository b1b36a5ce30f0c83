import { engineContract } from '../contracts/runtime-engine.ts';
import { testEngine } from '../fixtures/docker-engine.ts';
import { skipped } from '../fixtures/skipped.ts';

const engine = await testEngine();
const busybox = Bun.which('busybox');
if (typeof engine === 'string') skipped('e2e', 'runtime contract on docker', engine);
else if (!busybox) {
  skipped('e2e', 'runtime contract on docker', 'no busybox to make an image from');
  await engine[Symbol.asyncDispose]();
} else engineContract('docker', engine, busybox);
