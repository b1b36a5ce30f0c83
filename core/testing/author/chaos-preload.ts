/** Loaded before the tests by `plugin test --chaos`: every body runs without faults, then with each fault. */
import * as real from 'bun:test';
import { chaosTest } from './harness.ts';

const crashesMax = 100;
const test = chaosTest(real.test as unknown as Parameters<typeof chaosTest>[0], {
  crashesMax,
  onDone: (name, { writes, runs, failures }) =>
    process.stdout.write(
      `chaos: ${name}: ${writes} writes, ${runs} runs with faults, ${failures === 0 ? 'the same end each time' : `${failures} went wrong`}\n`,
    ),
});
real.mock.module('bun:test', () => ({ ...real, test, it: test }));
