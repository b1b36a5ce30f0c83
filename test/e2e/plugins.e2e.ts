// Plugins on a real cluster: built, installed, killed, upgraded, rolled back, removed, by the command line and kubectl.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectOk, repository, TestCluster, until } from '../fixtures/pintle.ts';
import { skipped } from '../fixtures/skipped.ts';

const able = Bun.which('kubectl') !== null && Bun.which('unshare') !== null;
if (!able) skipped('e2e', 'plugins', 'needs kubectl and unshare');

const cluster = new TestCluster();
let place: string;
beforeAll(async () => {
  if (!able) return;
  place = mkdtempSync(join(tmpdir(), 'ptp-'));
  await cluster.up('--runtime', 'process');
});
afterAll(async () => {
  if (!able) return;
  await cluster[Symbol.asyncDispose]();
  rmSync(place, { recursive: true, force: true });
  expect(processesOf()).toEqual([]);
});

const kubectl = async (...words: string[]) => expectOk(await cluster.kubectl(words)).trim();
const plugin = async (...words: string[]) => expectOk(await cluster.run('plugin', ...words));
const phase = () => kubectl('get', 'plugin', 'noter', '-o', 'jsonpath={.status.phase} {.status.activeVersion}');

/** Writes its version into a ConfigMap over and over, which a version that was fenced cannot. */
function source(version: string, setup = '', needs = 'configmaps: ["get", "create", "patch"]'): string {
  writeFileSync(
    join(place, 'plugin.ts'),
    `import { plugin, t } from "pintle/sdk";
const until = (ms: number) => new Promise((done) => setTimeout(done, ms));
export default plugin({
  name: "noter", version: "${version}", sdk: "^1.0", needs: { ${needs} },
  config: t.object({ word: t.string().default("hello") }),
  async setup({ api, config, signal, metrics, command }) {
    ${setup}
    metrics.gauge("noter_up", "Up.").set(1);
    command({ name: "count", help: "Counts notes.", flags: t.object({ word: t.string() }), async run({ flags, print }) {
      const notes = await api.configmaps.get({ namespace: "default", name: "note-1-0-0" });
      print(flags.word + " " + notes.data?.word);
    } });
    void (async () => {
      for (; !signal.aborted; await until(100))
        await api.configmaps.create({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "note-" + "${version}".replaceAll(".", "-"), namespace: "default" }, data: { word: config.word } }).catch(() => {});
    })();
  },
});`,
  );
  return place;
}
/** Processes of the sandboxed plugin of this cluster, by the memory group that only they are in, or by their arguments. */
function processesOf(): number[] {
  const uid = cluster.home.exists() ? /uid (\d+)/.exec(lastFacts)?.[1] : undefined;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        return uid !== undefined && new RegExp(`^Uid:\\s+${uid}\\b`, 'm').test(status);
      } catch {
        return false;
      }
    })
    .map(Number);
}
let lastFacts = '';

test.skipIf(!able)('needs are shown and must be approved; then it runs, sandboxed, as its own account', async () => {
  const folder = source('1.0.0');
  const refused = await cluster.run('plugin', 'install', folder);
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('NEEDS_NOT_APPROVED')]);
  expect(refused.err).toContain('configmaps: get, create, patch');
  await plugin('install', folder, '--yes', '--config', '{"word":"first"}');
  expect(await phase()).toBe('Active 1.0.0');
  await until('its note', async () => (await cluster.kubectl(['get', 'cm', 'note-1-0-0'])).code === 0);
  expect(await kubectl('get', 'cm', 'note-1-0-0', '-o', 'jsonpath={.data.word}')).toBe('first');
  lastFacts = await kubectl('get', 'plugin', 'noter', '-o', 'jsonpath={.status.sandbox}');
  for (const fact of ['own root', 'network namespace', 'no capabilities', 'no_new_privs', 'Landlock'])
    expect(lastFacts).toContain(fact);
  expect(await kubectl('get', 'plugins')).toContain('noter');
  expect(
    await kubectl('auth', 'can-i', 'list', 'secrets', '--as=system:serviceaccount:pintle-plugins:noter').catch(String),
  ).toContain('no');
});

test.skipIf(!able)('its command runs under the rights of who types it; its metrics are served', async () => {
  const said = await cluster.run('noter', 'count', '--word', 'the note says');
  expect([said.err, said.out.trim()]).toEqual(['', 'the note says first']);
  const wrong = await cluster.run('noter', 'count', '--wrod=x');
  expect(wrong.err).toContain('there is no flag --wrod [BAD_PLUGIN_FLAG]');
  expect((await cluster.run('noter', 'nothing')).err).toContain('[UNKNOWN_PLUGIN_COMMAND]');
  expect((await cluster.run('noter')).out).toContain('./pintle noter count  Counts notes.');
  await until('its metrics', async () =>
    (await kubectl('get', '--raw', '/metrics/plugins')).includes('noter_up{plugin="noter"} 1'),
  );
});

test.skipIf(!able || process.getuid?.() !== 0)('killed, it is back within two seconds and counted', async () => {
  await until(
    'healthy',
    async () => (await kubectl('get', 'plugin', 'noter', '-o', 'jsonpath={.status.lastGood.version}')) === '1.0.0',
  );
  const [pid] = processesOf();
  process.kill(pid!, 'SIGKILL');
  await until('another process', () => processesOf().some((one) => one !== pid));
  await until(
    'Active again',
    async () =>
      (await kubectl('get', 'plugin', 'noter', '-o', 'jsonpath={.status.phase} {.status.restarts}')) === 'Active 1',
  );
});

test.skipIf(!able || process.getuid?.() !== 0)('one that hangs is seen, killed, and back', async () => {
  const [pid] = processesOf();
  process.kill(pid!, 'SIGSTOP');
  const phaseNow = () => kubectl('get', 'plugin', 'noter', '-o', 'jsonpath={.status.phase}');
  const seenMs = await until('unresponsive', async () => (await phaseNow()) === 'Backoff');
  await until('another process', () => processesOf().some((one) => one !== pid));
  await until('Active again', async () => (await phaseNow()) === 'Active');
  expect(seenMs).toBeGreaterThan(3_000);
});

test.skipIf(!able)('a newer version takes over; one that cannot start makes way for the last good one', async () => {
  await plugin('install', source('1.1.0'), '--yes');
  expect(await phase()).toBe('Active 1.1.0');
  await until('its note', async () => (await cluster.kubectl(['get', 'cm', 'note-1-1-0'])).code === 0);
  await until(
    'last good',
    async () => (await kubectl('get', 'plugin', 'noter', '-o', 'jsonpath={.status.lastGood.version}')) === '1.1.0',
  );
  const bad = await cluster.run(
    'plugin',
    'install',
    source('1.2.0', 'if (!process.argv.includes("--record")) throw new Error("broken here");'),
    '--yes',
  );
  expect(bad.err).toContain('broken here');
  await until('rolled back', async () => (await phase()) === 'Active 1.1.0');
  expect(await plugin('show', 'noter')).toContain('RolledBack');
  await plugin('rollback', 'noter');
  expect(await phase()).toBe('Active 1.1.0');
});

test.skipIf(!able)('what changed on disk does not start', async () => {
  const digest = await kubectl('get', 'plugin', 'noter', '-o', 'jsonpath={.spec.digest}');
  const file = cluster.home.path('plugins', 'noter', 'bundles', digest.slice(7), 'plugin.js');
  const text = readFileSync(file, 'utf8');
  await kubectl('patch', 'plugin', 'noter', '--type=merge', '-p', '{"spec":{"paused":true}}');
  await until('paused', async () => (await phase()).startsWith('Paused'));
  writeFileSync(file, `${text}\n// one more line`);
  await kubectl('patch', 'plugin', 'noter', '--type=merge', '-p', '{"spec":{"paused":false}}');
  await until('refused', async () => (await phase()).startsWith('Failed'));
  expect(await plugin('show', 'noter')).toContain('is not as it was built');
  writeFileSync(file, text);
});

test.skipIf(!able)('uninstalled without a trace', async () => {
  await plugin('uninstall', 'noter');
  expect((await cluster.kubectl(['get', 'plugin', 'noter'])).err).toContain('NotFound');
  expect((await cluster.kubectl(['get', 'clusterrole', 'pintle:plugin:noter'])).err).toContain('NotFound');
  expect(existsSync(cluster.home.path('plugins', 'noter'))).toBe(false);
  await until('no process is left', () => processesOf().length === 0);
});

test.skipIf(!able)('the example runs unchanged: its kind, its pods, its status', async () => {
  if (!(await kubectl('api-resources', '-o', 'name')).includes('customresourcedefinitions'))
    return skipped('e2e', 'the example plugin', 'this distribution serves no custom resources');
  await plugin('install', join(repository, 'examples/cron-plugin'), '--yes');
  const task = {
    apiVersion: 'cron.example.com/v1',
    kind: 'CronTask',
    metadata: { name: 'tick' },
    spec: { every: '1s', image: 'demo:1', keep: 1 },
  };
  expectOk(await cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(task) }));
  await until('a pod of the task', async () => (await kubectl('get', 'pods', '-o', 'name')).includes('pod/tick-'));
  await until(
    'its status',
    async () => (await kubectl('get', 'crontask', 'tick', '-o', 'jsonpath={.status.active}')) !== '',
  );
  await until('its hooks are attached', async () =>
    (await kubectl('get', 'plugin', 'cron', '-o', 'jsonpath={.status.hooks}')).includes('validate crontasks'),
  );
  const untagged = { ...task, metadata: { name: 'bad' }, spec: { ...task.spec, image: 'demo' } };
  const refused = await cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(untagged) });
  expect(refused.err).toContain(
    'Error from server (Forbidden): error when creating "STDIN": admission plugin "cron" denied the request: spec.image needs a tag',
  );
  await plugin('uninstall', 'cron');
  expect(await kubectl('get', 'crontasks', '-o', 'name')).toContain('tick'); // its data is kept
});

test.skipIf(!able)(
  'an upgrade shows what changes; a wrong configuration and an older version are refused',
  async () => {
    await plugin('install', source('1.0.0'), '--yes');
    const wrong = await cluster.run('plugin', 'install', source('1.0.1'), '--yes', '--config', '{"word":1,"wrod":"x"}');
    expect(wrong.err).toContain('config.wrod: there is no such field');
    expect(wrong.err).toContain('config.word');
    const more = source('1.1.0', '', 'configmaps: ["get", "create"], pods: ["list"]');
    const refused = await cluster.run('plugin', 'upgrade', more);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('NEEDS_NOT_APPROVED')]);
    expect(refused.err).toContain('+ pods: list');
    expect(refused.err).toContain('- configmaps: patch');
    await plugin('upgrade', more, '--yes');
    expect(await phase()).toBe('Active 1.1.0');
    expect((await cluster.run('plugin', 'install', source('1.0.0'), '--yes')).err).toContain('PLUGIN_DOWNGRADE');
    await plugin('rollback', 'noter');
    expect(await phase()).toBe('Active 1.0.0');
    await plugin('uninstall', 'noter');
  },
);

test.skipIf(!able)('purged: counted, exported, asked about, and gone', async () => {
  await plugin('install', join(repository, 'examples/cron-plugin'), '--yes');
  const asked = await cluster.run('plugin', 'uninstall', 'cron', '--purge');
  expect([asked.code, asked.err]).toEqual([1, expect.stringContaining('NOT_CONFIRMED')]);
  expect(asked.err).toContain('crontasks.cron.example.com: 1 objects');
  const file = /exported to (\S+)/.exec(asked.err)![1]!;
  expect(readFileSync(file, 'utf8')).toContain('name: tick');
  await plugin('uninstall', 'cron', '--purge', '--yes');
  expect((await cluster.kubectl(['get', 'crd', 'crontasks.cron.example.com'])).err).toContain('NotFound');
  // What was exported is taken back; kubectl itself does not wait for the definition to be served.
  await until('it is back', async () => (await cluster.kubectl(['apply', '-f', file])).code === 0, 30_000);
  await kubectl('delete', 'crd', 'crontasks.cron.example.com');
});
