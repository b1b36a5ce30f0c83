// Plugins that crash, hang and flood: the host sees it, ends it, starts it again, and nobody else notices.
import { afterAll, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { configMapKind, type Kind, type KubeObject } from '#api';
import { createLog, Scope } from '#base';
import { pluginKind } from '../core/host/kind.ts';
import {
  built,
  type Cluster,
  cluster,
  install,
  isGone,
  phase,
  removePlace,
  sandboxed,
  statusOf,
  until,
} from './fixtures/hook-cluster.ts';
import { skipped } from './fixtures/skipped.ts';

if (!sandboxed) skipped('contract', 'floods of plugins in the sandbox', 'needs root and unshare');
afterAll(removePlace);

const crdText = `import { crd, t } from "pintle/sdk"; const Task = crd({ group: "GROUP.example.com", kind: "Task", version: "v1", spec: t.object({ what: t.string().optional() }) });`;
const taskKind = (plugin: string): Kind<KubeObject & { spec: { what?: string } }> => ({
  group: `${plugin}.example.com`,
  version: 'v1',
  kind: 'Task',
  plural: 'tasks',
  singular: 'task',
  namespaced: true,
  type: `${plugin}.example.com/v1.Task`,
});
const plug = (name: string, setup: string, level = 'process') =>
  built(name, setup, 'resources: [Task],', '1.0.0', level, crdText.replace('GROUP', name));
const createTask = (to: Cluster, plugin: string, name: string, what = '') =>
  to.client.create(taskKind(plugin), {
    apiVersion: `${plugin}.example.com/v1`,
    kind: 'Task',
    metadata: { name, namespace: 'default' },
    spec: { what },
  });
const processesWith = (words: string): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(words);
    } catch {
      return false; // it has gone meanwhile
    }
  });
const hooked = (to: Cluster, name: string) => until(`${name} has hooks`, async () => to.board.isAttached(name));

test.each([
  ['exits', 'process.exit(9);'],
  ['aborts', 'process.abort();'],
  ['throws where nobody listens', 'setTimeout(() => { throw new Error("boom"); }, 0); await new Promise(() => {});'],
  ['reads where nothing is', 'const { read } = require("bun:ffi"); read.u8(8, 0);'],
])(
  'a reconcile that %s: back at once, then with back-off, then given up; its objects stay',
  async (_what, crash) => {
    await using scope = new Scope();
    const to = await cluster(scope);
    await install(to, await plug('crashy', `reconcile(Task, {}, async () => { ${crash} });`));
    await phase(to, 'crashy', 'Active');
    await createTask(to, 'crashy', 'a');
    const status = await phase(to, 'crashy', 'Quarantined');
    expect(status.restarts).toBeGreaterThanOrEqual(2);
    expect(JSON.stringify(status.conditions)).toMatch(/5 crashes within 10 minutes|3 starts in a row failed/);
    expect((await to.client.list(taskKind('crashy'))).items.length).toBe(1);
  },
  90_000,
);

test('a hang in a loop and in a native call: seen after 5 s, killed after 15 s, and the rest goes on', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const hang = (how: string) =>
    `validate(Task, ({ object }) => { if (object.spec.what === "hang") { ${how} } return true; });`;
  await install(to, await plug('loop', hang('for (;;);')));
  await install(to, await plug('native', hang('Bun.sleepSync(600_000);')));
  await install(to, await plug('fine', hang('')));
  for (const name of ['loop', 'native', 'fine']) await hooked(to, name);
  const hung = ['loop', 'native'];
  const began = performance.now();
  await Promise.all(hung.map((name) => createTask(to, name, 'a', 'hang').catch(() => {})));
  await Promise.all(
    hung.map((name) =>
      until(`${name} is seen`, async () =>
        (await statusOf(to, name))?.conditions?.some(({ message }) => message === 'no heartbeat for 5 s'),
      ),
    ),
  );
  const seenMs = performance.now() - began;
  expect(seenMs).toBeGreaterThan(3_000);
  const askedMs = performance.now();
  expect(await createTask(to, 'loop', 'b').then(() => 'made', String)).toContain('plugin loop does not run');
  expect(performance.now() - askedMs).toBeLessThan(900); // nobody waits for it any more
  await createTask(to, 'fine', 'a', 'hang');
  await Promise.all(hung.map((name) => until(`${name} is back`, () => createTask(to, name, 'c'))));
  expect(performance.now() - began).toBeGreaterThan(13_000);
  for (const name of hung) expect((await statusOf(to, name))?.restarts).toBe(1);
  expect((await statusOf(to, 'fine'))?.restarts).toBe(0);
}, 120_000);

test('floods of lines, of errors, and a line without end: bounded here, and the last one ends it', async () => {
  await using scope = new Scope();
  let lines = 0;
  const log = createLog(() => void lines++, { now: Date.now });
  const to = await cluster(scope, log);
  const before = process.memoryUsage().rss;
  await install(
    to,
    await plug(
      'chatty',
      `metrics.gauge("up", "Up.").set(1); if (require("fs").existsSync("/nowhere")) return; setTimeout(async () => { for (let n = 0; n < 50_000; n++) { log("line " + n); if (n % 500 === 0) await new Promise((done) => setTimeout(done, 1)); } for (let n = 0; n < 2_000; n++) console.error("x".repeat(10_000)); metrics.gauge("up", "Up.").set(2); }, 200);`,
    ),
  );
  await phase(to, 'chatty', 'Active');
  const began = performance.now();
  await until('it has said all', async () => (await to.ask.metricsText()).includes('up{plugin="chatty"} 2'));
  const seconds = (performance.now() - began) / 1_000;
  expect(lines).toBeLessThan(100 * (seconds + 3));
  expect(lines).toBeGreaterThan(50);
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
  expect((await statusOf(to, 'chatty'))?.restarts).toBe(0);
  await install(
    to,
    await plug(
      'endless',
      `setTimeout(() => { for (let sent = 0; sent < 4_000_000;) try { sent += require("fs").writeSync(1, "x".repeat(60_000)); } catch {} }, 300);`,
    ),
  );
  await until('it is ended', async () =>
    (await statusOf(to, 'endless'))?.conditions?.some(({ message }) => message.includes('a line is longer than')),
  );
}, 90_000);

test.skipIf(!sandboxed).each(['sandbox', 'process'])(
  'floods of memory, files and processes stay inside the %s',
  async (level) => {
    await using scope = new Scope();
    const to = await cluster(scope);
    const files = () => readdirSync('/proc/self/fd').length;
    const before = files();
    await install(
      to,
      await plug(
        'files',
        `const fs = require("fs"); if (process.argv.includes("--record")) return void metrics.gauge("open", "Open."); let open = 0; try { for (;;) { fs.openSync("/dev/null"); open++; } } catch {} metrics.gauge("open", "Open.").set(open);`,
        level,
      ),
    );
    await install(
      to,
      await plug(
        'forks',
        `if (process.argv.includes("--record")) return void metrics.gauge("made", "Made."); let made = 0; try { for (; made < 200; made++) Bun.spawn([process.execPath, "-e", "await new Promise(() => {}) // forked by a flood"], { stdout: "ignore", stderr: "ignore" }); } catch {} metrics.gauge("made", "Made.").set(made);`,
        level,
      ),
    );
    await install(
      to,
      await plug(
        'memory',
        `const kept = []; if (!process.argv.includes("--record")) setTimeout(() => { for (;;) kept.push(Buffer.alloc(8 * 1024 * 1024, 1)); }, 300);`,
        level,
      ),
    );
    await phase(to, 'files', 'Active').catch(() => {});
    const number = async (name: string) =>
      Number(new RegExp(`^${name}\\{.*\\} (\\d+)`, 'm').exec(await to.ask.metricsText())?.[1] ?? -1);
    expect(await until('files', async () => (await number('open')) > 0 && (await number('open')))).toBeLessThan(512);
    const quarantined = await phase(to, 'memory', 'Quarantined');
    expect(quarantined.restarts).toBeGreaterThanOrEqual(2);
    const made = await number('made');
    const forks = await statusOf(to, 'forks');
    expect(made < 64 || forks?.restarts !== 0).toBe(true);
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', namespace: 'default' } };
    expect((await to.client.create(configMapKind, map)).metadata.name).toBe('m');
    expect(files() - before).toBeLessThan(64);
    await to.client.delete(pluginKind, { name: 'forks' });
    await isGone(to, 'forks');
    await until('what it started has ended', async () => processesWith('// forked by a flood').length === 0);
  },
  120_000,
);

test('floods of objects, of patches and of sockets: what gets through follows the rates, and others are served', async () => {
  await using scope = new Scope();
  const to = await cluster(scope);
  const setup = `if (process.argv.includes("--record")) return;
const map = (name) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" }, data: { a: "x".repeat(200) } });
const lanes = (count, work) => { for (let lane = 0; lane < count; lane++) void (async () => { for (let n = 0; ; n++) await work(lane, n).catch(() => new Promise((done) => setTimeout(done, 1))); })(); };
lanes(30, (lane, n) => api.configmaps.create(map("flood-" + lane + "-" + n)));
lanes(10, (lane, n) => api.configmaps.patch(map("victim"), { data: { a: String(n) } }));
const sockets = []; setInterval(() => { for (let n = 0; n < 20; n++) Bun.connect({ unix: "/api/api.sock", socket: { data() {}, error() {} } }).then((one) => sockets.push(one), () => {}); }, 10);`;
  const bundle = await built(
    'flood',
    setup,
    'needs: { configmaps: ["create", "patch"] },',
    '1.0.0',
    sandboxed ? 'sandbox' : 'process',
  );
  const map = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } });
  await to.client.create(configMapKind, map('victim'));
  const before = process.memoryUsage().rss;
  await install(to, bundle);
  await phase(to, 'flood', 'Active');
  const beganMs = performance.now();
  const flooded = async () =>
    (await to.client.list(configMapKind)).items.filter(({ metadata }) => metadata.name!.startsWith('flood-')).length;
  await until('the flood has come', async () => (await flooded()) > 1_500);
  for (let index = 0; index < 50; index++) await to.client.create(configMapKind, map(`other-${index}`));
  for (let index = 0; index < 50; index++)
    await to.client.get(configMapKind, { namespace: 'default', name: `other-${index}` });
  const count = await flooded();
  const seconds = (performance.now() - beganMs) / 1_000 + 5; // it began before it was seen
  expect(count).toBeLessThanOrEqual(2_000 + 500 * seconds);
  expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024);
  await to.client.delete(pluginKind, { name: 'flood' });
  await isGone(to, 'flood');
}, 90_000);
