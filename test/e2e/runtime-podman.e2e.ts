import { engineContract } from '../contracts/runtime-engine.ts';
import { podmanEngine } from '../fixtures/podman-engine.ts';
import { skipped } from '../fixtures/skipped.ts';

const engine = await podmanEngine();
const busybox = Bun.which('busybox');
if (typeof engine === 'string') skipped('e2e', 'runtime contract on podman', engine);
else if (!busybox) {
  skipped('e2e', 'runtime contract on podman', 'no busybox to make an image from');
  await engine[Symbol.asyncDispose]();
} else engineContract('podman', engine, busybox);
