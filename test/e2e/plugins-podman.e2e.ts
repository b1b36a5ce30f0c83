// Isolation `container` on the other engine that serves Docker's API: what it gives is asked of the kernel, not believed.
import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DockerEngine } from '../../core/kubelet/runtimes/docker-engine.ts';
import { escapesFrom } from '../fixtures/container-escapes.ts';
import { attempts } from '../fixtures/escape-attempts.ts';
import { podmanEngine } from '../fixtures/podman-engine.ts';
import { skipped } from '../fixtures/skipped.ts';

const found = await podmanEngine();
const engine = typeof found === 'string' ? undefined : found;
if (typeof found === 'string') skipped('e2e', 'plugins in containers of Podman', found);
const place = mkdtempSync(join(tmpdir(), 'pintle-escape-'));
afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  rmSync(place, { recursive: true, force: true });
});

test.skipIf(!engine)(
  `${Object.keys(attempts).length + 3} attempts out of a container of Podman, none succeeds, none is left`,
  async () => {
    expect(await escapesFrom(engine!.socketPath, place)).toEqual([]);
    const left = await new DockerEngine(engine!.socketPath).call<object[]>('GET', '/containers/json', {
      query: { all: true },
    });
    expect(left).toEqual([]);
  },
  120_000,
);
