// What a plugin contributes to nodes, on a real cluster: a volume driver and a container runtime, used by pods, upgraded, removed.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectOk, repository, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';
import { canMount } from '../fixtures/volume-plugins.ts';

const able = Bun.which('kubectl') !== null && Bun.which('unshare') !== null && canMount;
if (!able) skipped('e2e', 'plugins on nodes', 'needs kubectl, unshare, and root to mount');

const cluster = new TestCluster();
let place: string;
beforeAll(async () => {
  if (!able) return;
  place = mkdtempSync(join(tmpdir(), 'ptn-'));
  await cluster.up('--runtime', 'process');
  expectOk(await cluster.run('image', 'demo'));
});
afterAll(async () => {
  if (!able) return;
  const folder = cluster.home.folder;
  await cluster[Symbol.asyncDispose]();
  rmSync(place, { recursive: true, force: true });
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(`${folder}/`);
});
const kubectl = async (...words: string[]) => expectOk(await cluster.kubectl(words)).trim();
const apply = async (name: string, object: object) => {
  const file = join(place, `${name}.json`);
  writeFileSync(file, JSON.stringify(object));
  return kubectl('apply', '-f', file);
};
const phaseOf = (pod: string) => kubectl('get', 'pod', pod, '-o', 'jsonpath={.status.phase}');

/** Folders in its own state, and an engine whose containers are numbers. */
function source(version: string): string {
  writeFileSync(
    join(place, 'plugin.ts'),
    `import { plugin } from "pintle/sdk";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { systemClock, systemRandom } from ${JSON.stringify(join(repository, 'core/base/index.ts'))};
import { createFakeRuntime } from ${JSON.stringify(join(repository, 'core/kubelet/runtimes/fake.ts'))};
const home = process.env["HOME"] + "/volumes";
export default plugin({
  name: "parts", version: "${version}", sdk: "^1.0", placement: "every-node",
  setup({ volume, runtime, nodeName }) {
    if (nodeName) mkdirSync(home, { recursive: true });
    volume({
      name: "folders.example.com",
      stage: ({ id }) => void mkdirSync(home + "/" + id, { recursive: true, mode: 0o777 }),
      publish: ({ id }) => ({ type: "folder", name: id }),
      unpublish: ({ id }) => rmSync(home + "/" + id, { recursive: true, force: true }),
      list: () => readdirSync(home),
    });
    runtime({ name: "numbers", open: () => createFakeRuntime({ clock: systemClock, random: systemRandom }) });
  },
});`,
  );
  return place;
}

test.skipIf(!able)(
  'installed after its powers were confirmed; a pod keeps its rows in a volume of it over an upgrade',
  async () => {
    const refused = await cluster.run('plugin', 'install', source('1.0.0'), '--yes');
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('NEEDS_DANGEROUS')]);
    expect(refused.err).toContain('volume driver folders.example.com: keeps what pods write to its volumes');
    expectOk(await cluster.run('plugin', 'install', place, '--yes', '--approve-dangerous'));
    await apply('db', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'db' },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'c',
            image: 'pintle/demo:local',
            command: ['sh', '-c', 'echo row >> /data/rows; exec sleep 600'],
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
          },
        ],
        volumes: [{ name: 'data', csi: { driver: 'folders.example.com' } }],
      },
    });
    await until('it runs', async () => (await phaseOf('db')) === 'Running');
    const uid = await kubectl('get', 'pod', 'db', '-o', 'jsonpath={.metadata.uid}');
    const rows = cluster.home.path('node', 'plugin-states', 'parts', 'state', 'volumes', `${uid}-data`, 'rows');
    await until('it has written', async () => existsSync(rows));
    expectOk(await cluster.run('plugin', 'upgrade', source('1.1.0'), '--yes'));
    expect(await kubectl('exec', 'db', '--', 'cat', '/data/rows')).toBe('row');
    await kubectl('delete', 'pod', 'db', '--timeout=60s');
    expect(readdirSync(join(rows, '../..'))).toEqual([]);
  },
);

test.skipIf(!able)(
  'a pod whose RuntimeClass names it runs there, and waits with the reason where there is none',
  async () => {
    for (const handler of ['numbers', 'letters'])
      await apply(handler, {
        apiVersion: 'node.k8s.io/v1',
        kind: 'RuntimeClass',
        metadata: { name: handler },
        handler,
      });
    for (const runtimeClassName of ['numbers', 'letters'])
      await apply(`pod-${runtimeClassName}`, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `of-${runtimeClassName}` },
        spec: {
          runtimeClassName,
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'c', image: 'demo:1', command: ['sh', '-c', 'echo counted; sleep 600'] }],
        },
      });
    await until('it runs', async () => (await phaseOf('of-numbers')) === 'Running');
    expect(await kubectl('logs', 'of-numbers')).toBe('counted');
    const id = await kubectl('get', 'pod', 'of-numbers', '-o', 'jsonpath={.status.containerStatuses[0].containerID}');
    expect(id).toStartWith('numbers://numbers:');
    await until('the other says why', async () =>
      (await kubectl('get', 'events', '-o', 'jsonpath={.items[*].message}')).includes(
        'RuntimeHandler "letters" not supported',
      ),
    );
    await kubectl('delete', 'pod', 'of-numbers', 'of-letters', '--timeout=60s');
    expectOk(await cluster.run('plugin', 'uninstall', 'parts', '--yes'));
  },
);
