// Isolation `container`: plugins in containers of a real engine, with the real API server in this process.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { cpSync, existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configMapKind, type Kind, type KubeObject } from '#api';
import { Scope, systemClock } from '#base';
import { buildPlugin } from '../../core/cmd/plugin-build.ts';
import { pluginContainers, purgePluginContainers } from '../../core/cmd/plugin-containers.ts';
import type { Bundle } from '../../core/host/bundle.ts';
import { pluginKind } from '../../core/host/kind.ts';
import { DockerEngine } from '../../core/kubelet/runtimes/docker-engine.ts';
import { escapesFrom } from '../fixtures/container-escapes.ts';
import { testEngine } from '../fixtures/docker-engine.ts';
import { attempts } from '../fixtures/escape-attempts.ts';
import {
  built,
  type Cluster,
  cluster,
  install,
  isGone,
  note,
  noted,
  phase,
  removePlace,
  statusOf,
  store,
  until,
} from '../fixtures/hook-cluster.ts';
import { makePythonImage, pythonImage } from '../fixtures/python-image.ts';
import { rejection } from '../fixtures/rejection.ts';
import { skipped } from '../fixtures/skipped.ts';

const limitMs = 120_000;
const found = await testEngine();
const engine = typeof found === 'string' ? undefined : found;
if (typeof found === 'string') skipped('e2e', 'plugins in containers', found);
let place: string;
beforeAll(() => void (place = mkdtempSync(join(tmpdir(), 'pintle-container-'))));
afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  removePlace();
  rmSync(place, { recursive: true, force: true });
});
const start = (scope: Scope) =>
  cluster(scope, undefined, { containers: pluginContainers(engine!.socketPath, systemClock) });
interface Listed {
  readonly Id: string;
  readonly Names: readonly string[];
}
const made = () =>
  new DockerEngine(engine!.socketPath).call<Listed[]>('GET', '/containers/json', { query: { all: true } });
const pidOf = async (name: string): Promise<number> => {
  const { State } = await new DockerEngine(engine!.socketPath).call<{ State: { Pid: number } }>(
    'GET',
    `/containers/pintle-test-${name}/json`,
  );
  return State.Pid;
};
const noneLeft = () => until('no container is left', async () => (await made()).length === 0);
const upgrade = async (to: Cluster, bundle: Bundle) => {
  store(to, bundle);
  const { name, version, needs } = bundle.manifest;
  const spec = { digest: bundle.digest, version, approvedNeeds: needs };
  await to.client.patch(pluginKind, { name }, { type: 'merge', body: { spec } });
};
const configMap = (name: string, data: Record<string, string>) =>
  ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data }) as KubeObject;
const field = (text: string, name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(text)?.[1] ?? '';
const limitOf = (pid: number, hierarchy: string, file: string, unified: string): string => {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
  const own = lines.find((line) => line.split(':')[1]!.split(',').includes(hierarchy));
  const path = own
    ? `/sys/fs/cgroup/${hierarchy}${own.split(':')[2]}/${file}`
    : `/sys/fs/cgroup${lines.find((line) => line.startsWith('0::'))!.slice(3)}/${unified}`;
  return readFileSync(path, 'utf8').trim();
};

const hooks = 'needs: { configmaps: ["create", "validate"] },';
const guard = (version: string, word: string, setup = '') =>
  built(
    'boxed',
    `validate("configmaps", ({ object }) => object.data?.bad ? "${word}" : true); ${setup}`,
    hooks,
    version,
    'sandbox',
  );

test.skipIf(!engine)(
  'a plugin for Bun, raised to a container: hooks, facts in force, a crash, an upgrade, nothing left',
  async () => {
    await using scope = new Scope();
    const to = await start(scope);
    await install(
      to,
      await guard('1.0.0', 'one says no', `void (async () => { ${note('hello', '"x"')} })().catch(() => {});`),
      {
        isolation: 'container',
      },
    );
    const { sandbox = [] } = await phase(to, 'boxed', 'Active');
    expect(await noted(to, 'hello')).toBe('x');
    const refusal = async (word: string) =>
      until(`refused: ${word}`, async () => {
        const bad = await rejection(to.client.create(configMapKind, configMap('bad', { bad: '1' }) as never));
        return bad.message.includes(word);
      });
    await refusal('one says no');

    const pid = await pidOf('boxed');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const [, uid = ''] = /uid (\d+)/.exec(sandbox.join()) ?? [];
    expect(field(status, 'Uid').split(/\s+/)).toEqual([uid, uid, uid, uid]);
    expect(Number(uid)).toBeGreaterThanOrEqual(700_000_000);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) expect(field(status, set)).toMatch(/^0+$/);
    expect(field(status, 'NoNewPrivs')).toBe('1');
    expect(field(status, 'Seccomp')).toBe('2');
    for (const fact of ['no capabilities', 'no_new_privs', 'seccomp filter of the engine'])
      expect(sandbox).toContain(fact);
    expect(sandbox.join()).toContain('memory 128 MiB and 64 tasks');
    expect(limitOf(pid, 'memory', 'memory.limit_in_bytes', 'memory.max')).toBe(String(128 * 1024 * 1024));
    expect(limitOf(pid, 'pids', 'pids.max', 'pids.max')).toBe('64');
    expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max open files\s+512\s+512/m);
    for (const name of ['net', 'mnt', 'pid', 'ipc'])
      expect(readlinkSync(`/proc/${pid}/ns/${name}`)).not.toBe(readlinkSync(`/proc/self/ns/${name}`));
    const mounts = readFileSync(`/proc/${pid}/mounts`, 'utf8')
      .split('\n')
      .map((line) => line.split(' '));
    const optionsOf = (path: string) => mounts.find((one) => one[1] === path)?.[3]?.split(',')[0];
    expect(['/', '/plugin', '/state', '/api'].map(optionsOf)).toEqual(['ro', 'ro', 'rw', 'rw']);
    const links = readFileSync(`/proc/${pid}/net/dev`, 'utf8')
      .match(/^\s*[\w.-]+:/gm)!
      .map((one) => one.trim());
    expect(links.filter((name) => name !== 'lo:')).toEqual([]);

    process.kill(pid, 'SIGKILL');
    await until('it came back', async () => {
      const { phase: now, restarts } = (await statusOf(to, 'boxed'))!;
      return now === 'Active' && restarts === 1;
    });
    await refusal('one says no');
    await upgrade(to, await guard('1.1.0', 'two says no'));
    await until('1.1.0 acts', async () => (await statusOf(to, 'boxed'))?.activeVersion === '1.1.0');
    await refusal('two says no');
    await until('the former one ended', async () => (await made()).length === 1);
    // A version that does badly is given up: the former one goes on.
    await upgrade(to, await guard('1.2.0', '', 'if (!process.argv.includes("--record")) throw new Error("boom");'));
    await until('1.2.0 was given up', async () => {
      const { conditions } = (await statusOf(to, 'boxed'))!;
      return conditions?.some(({ reason, message }) => reason === 'RolledBack' && message.includes('boom'));
    });
    await refusal('two says no');
    await to.client.delete(pluginKind, { name: 'boxed' });
    await isGone(to, 'boxed');
    expect(await made()).toEqual([]);
    expect(existsSync(join(to.run, 'boxed'))).toBe(false);
  },
  limitMs,
);

const greetingKind: Kind<KubeObject & { status?: { written?: string } }> = {
  group: 'python.example.com',
  version: 'v1',
  kind: 'Greeting',
  plural: 'greetings',
  singular: 'greeting',
  namespaced: true,
  type: 'com.example.python.v1.Greeting',
};
const python = engine !== undefined && (await makePythonImage(engine.socketPath).catch(() => false));
if (engine && !python) console.log('skipped: a plugin in Python: there is no Python here'); // optional, as what comes from its index
/** The example, with an image that the test can make without a registry. */
async function pythonPlugin(version: string, change: (main: string) => string = (main) => main): Promise<Bundle> {
  const folder = mkdtempSync(join(place, 'python-'));
  cpSync(join(import.meta.dir, '../../examples/python-plugin'), folder, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  const container = { ...manifest.container, image: pythonImage };
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, version, container }));
  const main = readFileSync(join(folder, 'main.py'), 'utf8').replace('"version": "1.0.0"', `"version": "${version}"`);
  writeFileSync(join(folder, 'main.py'), change(main));
  return buildPlugin(folder);
}

test.skipIf(!python)(
  'a plugin in Python speaks the protocol: reconcile, status, hook, metrics, upgrade, quarantine, no trace',
  async () => {
    await using scope = new Scope();
    const to = await start(scope);
    const greet = (name: string, who: string) =>
      to.client.create(greetingKind, {
        apiVersion: 'python.example.com/v1',
        kind: 'Greeting',
        metadata: { name, namespace: 'default' },
        spec: { to: who },
      } as never);
    const text = (name: string) =>
      until(`${name} is greeted`, async () => {
        const { data } = await to.client.get(configMapKind, { namespace: 'default', name });
        return data?.['text'];
      });
    await install(to, await pythonPlugin('1.0.0'));
    const status = await phase(to, 'greeter', 'Active');
    expect(status.sandbox?.[0]).toContain(`container of ${pythonImage}`);
    await until('its hook is attached', async () => (await statusOf(to, 'greeter'))?.hooks?.length === 1);
    await greet('world', 'World');
    expect(await text('world')).toBe('Hello, World!');
    await until('status', async () => {
      const { status: said } = await to.client.get(greetingKind, { namespace: 'default', name: 'world' });
      return said?.written === 'Hello, World!';
    });
    expect((await rejection(greet('nobody', ' '))).message).toContain('a greeting needs somebody to greet');
    await until('its metric', async () =>
      to.host.metricsText().includes('greeter_greetings_total{plugin="greeter"} 1'),
    );
    await upgrade(to, await pythonPlugin('1.1.0', (main) => main.replaceAll('Hello, ', 'Good day, ')));
    await until('1.1.0 acts', async () => (await statusOf(to, 'greeter'))?.activeVersion === '1.1.0');
    await until('in its own words', async () => (await text('world')) === 'Good day, World!');
    await to.client.patch(pluginKind, { name: 'greeter' }, { type: 'merge', body: { spec: { paused: true } } });
    await phase(to, 'greeter', 'Paused');
    await noneLeft();
    const broken = await pythonPlugin('1.2.0', () => 'import sys; sys.exit("not today")');
    await upgrade(to, broken);
    await to.client.patch(pluginKind, { name: 'greeter' }, { type: 'merge', body: { spec: { paused: false } } });
    await until('1.1.0 runs in place of what does not start', async () => {
      const now = await statusOf(to, 'greeter');
      return now?.phase === 'Active' && now.activeVersion === '1.1.0' && JSON.stringify(now).includes('not today');
    });
    await to.client.delete(pluginKind, { name: 'greeter' });
    await isGone(to, 'greeter');
    await noneLeft();
  },
  limitMs,
);

test.skipIf(!engine)(
  'an image that is not there is said; a host that was killed leaves nothing for the next one, nor for a purge',
  async () => {
    await using scope = new Scope();
    const to = await start(scope);
    const manifest = { name: 'absent', version: '1.0.0', sdk: '^1.0', container: { image: 'localhost:1/absent:1' } };
    const folder = mkdtempSync(join(place, 'absent-'));
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    await install(to, await buildPlugin(folder));
    const status = await phase(to, 'absent', 'Quarantined');
    expect(JSON.stringify(status.conditions)).toContain('localhost:1/absent:1');
    const own = new DockerEngine(engine!.socketPath);
    const former = async (host: string) => {
      const images = await own.call<{ Id: string }[]>('GET', '/images/json');
      const body = { Image: images[0]!.Id, Cmd: ['x'], Labels: { 'dev.pintle.plugins.host': host } };
      await own.call('POST', '/containers/create', { body });
    };
    for (const host of ['c1', 'c1-node-a', 'c10']) await former(host);
    await pluginContainers(engine!.socketPath, systemClock).sweep('c1');
    expect((await made()).length).toBe(2);
    await purgePluginContainers(engine!.socketPath, 'c1');
    expect((await made()).length).toBe(1);
    await purgePluginContainers(engine!.socketPath, 'c10');
    expect(await made()).toEqual([]);
  },
  limitMs,
);

test.skipIf(!engine)(
  `${Object.keys(attempts).length + 3} attempts out of a container, none succeeds`,
  async () => expect(await escapesFrom(engine!.socketPath, mkdtempSync(join(place, 'escape-')))).toEqual([]),
  limitMs,
);

test.skipIf(!engine)(
  'one that takes more memory than it has is ended, one that hangs is killed after 15 s: it comes back each time',
  async () => {
    await using scope = new Scope();
    const to = await start(scope);
    const first = 'const isFirst = !process.argv.includes("--record") && !require("fs").existsSync("/state/was");';
    const once = 'if (isFirst) { require("fs").writeFileSync("/state/was", "");';
    const greedy = `${first} ${once} setTimeout(() => { const all = []; for (;;) all.push(Buffer.alloc(16e6, 1)); }, 500); }`;
    const hanging = `${first} ${once} setTimeout(() => { for (;;); }, 500); }`;
    await install(to, await built('greedy', greedy, '', '1.0.0', 'container'));
    await install(to, await built('hanging', hanging, '', '1.0.0', 'container'));
    const cameBack = (name: string) =>
      until(`${name} came back`, async () => {
        const status = await statusOf(to, name);
        return status?.phase === 'Active' && status.restarts === 1 && status;
      });
    const [, hung] = await Promise.all([cameBack('greedy'), cameBack('hanging')]);
    expect(hung.sandbox).toContain('no_new_privs');
    for (const name of ['greedy', 'hanging']) await to.client.delete(pluginKind, { name });
    await noneLeft();
  },
  limitMs,
);

test.skipIf(!engine)(
  'needs.net: a container with the network of its host, and it says so',
  async () => {
    await using scope = new Scope();
    const to = await start(scope);
    using server = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
    const dial = `void Bun.connect({ hostname: "127.0.0.1", port: ${server.port}, socket: { data() {} } }).then(async () => { ${note('dialled', '"yes"')} }, () => {});`;
    await install(to, await built('dialler', dial, 'needs: { net: ["outbound"], configmaps: ["create"] },'), {
      isolation: 'container',
    });
    const { sandbox } = await phase(to, 'dialler', 'Active');
    expect(await noted(to, 'dialled')).toBe('yes');
    expect(sandbox).toContain('network of the host');
    expect(sandbox).not.toContain('network namespace without interfaces');
    await to.client.delete(pluginKind, { name: 'dialler' });
    await noneLeft();
  },
  limitMs,
);
