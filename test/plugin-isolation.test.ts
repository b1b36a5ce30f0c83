// Levels of isolation: what a host cannot give is refused with the reason, and what status.sandbox lists is in force.
import { afterAll, expect, test } from 'bun:test';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { landlockVersion, Scope, spawnDuplex } from '#base';
import { sha256Of } from '../core/host/bundle.ts';
import { type MachineProbe, mustGive, thisMachine } from '../core/host/levels.ts';
import type { Isolation } from '../core/host/manifest.ts';
import { dangerous, rulesOf } from '../core/host/rbac.ts';
import type { StepError } from '../core/host/status.ts';
import { attemptsAsProcess, attemptsAsProcessCount } from './fixtures/escape-attempts.ts';
import { built, cluster, install, joinNode, phase, removePlace, sandboxed, until } from './fixtures/hook-cluster.ts';
import { rejection } from './fixtures/rejection.ts';

afterAll(removePlace);
const limitMs = 120_000;
const machine = (change: Partial<MachineProbe>): MachineProbe => ({ ...thisMachine, ...change });
const without = (name: string) =>
  machine({ program: (asked) => (asked === name ? undefined : thisMachine.program(asked)) });
/** Says no in place of a program. */
const refusing: typeof spawnDuplex = () =>
  spawnDuplex(['/bin/sh', '-c', 'echo "unshare failed: Operation not permitted" >&2; exit 1']);

test.each<[string, Isolation, Partial<Parameters<typeof mustGive>[1]>, string]>([
  ['no engine', 'container', {}, 'this host has no container engine'],
  ['no Landlock', 'sandbox', { machine: machine({ landlockVersion: () => 0 }) }, 'this kernel has no Landlock'],
  ['no unshare', 'sandbox', { machine: without('unshare') }, 'no program unshare'],
  [
    'no namespaces',
    'sandbox',
    { spawn: refusing },
    'gives no namespaces, which the sandbox needs: unshare failed: Operation not permitted',
  ],
  ['no unshare', 'process', { machine: without('unshare') }, 'which a process with a user of its own needs'],
  ['no mounts', 'process', { spawn: refusing }, 'gives no namespaces, which a process with a user of its own needs'],
])('a host with %s refuses %s', async (_what, level, more, why) => {
  const { machine: probe = machine({}), ...rest } = more;
  const asRoot = { ...probe, isRoot: () => true };
  const refused = (await rejection(mustGive(level, { spawn: spawnDuplex, machine: asRoot, ...rest }))) as StepError;
  expect(refused).toMatchObject({ step: 'Loaded', reason: 'IsolationImpossible' });
  expect(refused.message).toContain(why);
});
test('a host that is not root gives the process without a question', () =>
  mustGive('process', { spawn: refusing, machine: machine({ landlockVersion: () => 0, isRoot: () => false }) }));

test(
  'a refusal is in the status, nothing was started, and what it runs on nodes says it there',
  async () => {
    await using scope = new Scope();
    const started: string[] = [];
    const poor = {
      machine: machine({ landlockVersion: () => 0 }),
      spawn: ((argv, options) => {
        started.push(argv.join(' '));
        return spawnDuplex(argv, options);
      }) as typeof spawnDuplex,
    };
    const to = await cluster(scope, undefined, poor);
    await install(to, await built('careful', '', '', '1.0.0', 'sandbox'));
    const status = await phase(to, 'careful', 'Failed');
    const loaded = status.conditions?.find(({ type }) => type === 'Loaded');
    expect(loaded).toMatchObject({ status: 'False', reason: 'IsolationImpossible' });
    expect(loaded?.message).toContain('this kernel has no Landlock');
    expect([started, status.sandbox]).toEqual([[], []]);
    await install(to, await built('boxed', ''), { isolation: 'container' });
    expect(JSON.stringify((await phase(to, 'boxed', 'Failed')).conditions)).toContain('has no container engine');
    await joinNode(to, scope, 'node-a', {}, poor);
    await install(to, await built('agent', '', 'placement: "every-node",', '1.0.0', 'sandbox'));
    const said = await until('node-a says it', async () => {
      const { nodes } = (await phase(to, 'agent', 'Failed')) ?? {};
      return nodes?.[0]?.message;
    });
    expect(said).toContain('this kernel has no Landlock');
    expect(started).toEqual([]);
  },
  limitMs,
);

test(
  'a plugin does not say itself what is in force',
  async () => {
    await using scope = new Scope();
    const to = await cluster(scope);
    const lie = JSON.stringify(`${JSON.stringify({ type: 'sandbox', facts: ['a vault'] })}\n`);
    await install(
      to,
      await built(
        'liar',
        `if (typeof Bun !== "undefined" && !process.argv.includes("--record")) require("fs").writeSync(1, ${lie});`,
      ),
    );
    const status = await phase(to, 'liar', 'Quarantined');
    expect(JSON.stringify(status)).toContain('it said what only its launcher says');
    expect(JSON.stringify(status)).not.toContain('a vault');
    expect(status.restarts).toBe(0); // a violation of its sandbox has no second chance
  },
  limitMs,
);

interface InForce {
  readonly facts: readonly string[];
  readonly status: string;
  readonly limits: string;
  readonly cgroup: string;
  readonly environment: string;
  readonly mounts: string;
  readonly interfaces: string;
  readonly namespaces: readonly string[];
  readonly memory?: number;
  /** The first line of the program itself. */
  readonly said: string;
}
const waiting = 'console.log("on"); setInterval(() => {}, 1000);';
/** As this user, or as nobody. */
async function inForce(
  as: readonly string[],
  needs: object = {},
  code = waiting,
  level: 'sandbox' | 'process' = 'sandbox',
): Promise<InForce> {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-facts-'));
  chmodSync(folder, 0o777);
  try {
    const bundle = join(folder, 'bundle');
    mkdirSync(bundle);
    writeFileSync(join(bundle, 'plugin.js'), code);
    const facts = { formatVersion: 1, name: 'facts', version: '1.0.0', sdk: '^1.0', protocol: 2, placement: 'cluster' };
    const provides = { controllers: [], validates: [], mutates: [], schedules: [] };
    const rest = { requires: [], provides, needs, resources: [], limits: { memoryMiB: 256 } };
    const files = { 'plugin.js': sha256Of(code) };
    writeFileSync(
      join(bundle, 'plugin.json'),
      JSON.stringify({ ...facts, ...rest, isolation: level, entry: 'plugin.js', files }),
    );
    const script = join(import.meta.dir, 'fixtures/launch-facts.ts');
    const child = Bun.spawn([...as, process.execPath, script, folder, level], {
      stdout: 'pipe',
      stderr: 'pipe',
      cwd: '/',
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (!out) throw new Error(err);
    return JSON.parse(out) as InForce;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
const field = (text: string, name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(text)?.[1] ?? '';
function sameForAll({ facts, status, limits }: InForce): void {
  expect(facts).toContain('no_new_privs');
  expect(field(status, 'NoNewPrivs')).toBe('1');
  expect(facts).toContain('no capabilities');
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) expect(field(status, set)).toMatch(/^0+$/);
  expect(facts).toContain('open files 512');
  expect(limits).toMatch(/^Max open files\s+512\s+512/m);
  expect(limits).toMatch(/^Max core file size\s+0\s+0/m);
}
function asSandboxes(found: InForce): void {
  sameForAll(found);
  const { facts, status, interfaces, namespaces } = found;
  expect(field(status, 'CapBnd')).toMatch(/^0+$/);
  expect(facts).toContain('network namespace without interfaces');
  expect(namespaces).toContain('net');
  const links = interfaces.split('\n').flatMap((line) => /^\s*([\w.-]+):/.exec(line)?.[1] ?? []);
  expect(links.filter((name) => name !== 'lo')).toEqual([]);
  expect(facts.join()).toContain('own root');
  expect(namespaces).toContain('mnt');
  expect(facts.join()).toMatch(/Landlock [1-9]/);
}
/** Its user, and its group with limits. */
function asRoots({ facts, status, cgroup, memory }: InForce): void {
  const uid = /uid (\d+)/.exec(facts.join())![1]!;
  expect(Number(uid)).toBeGreaterThanOrEqual(700_000_000);
  expect(field(status, 'Uid').split(/\s+/)).toEqual([uid, uid, uid, uid]);
  expect(field(status, 'Gid').split(/\s+/)).toEqual([uid, uid, uid, uid]);
  expect(field(status, 'Groups').trim()).toBe('');
  expect(facts.join()).toContain('memory 256 MiB and 64 tasks');
  const version = /cgroup (v\d)/.exec(facts.join())![1];
  const lines = cgroup.split('\n').filter((line) => line.endsWith('/pintle-facts-facts'));
  expect(lines.length).toBe(version === 'v2' ? 1 : 2);
  expect(memory).toBeGreaterThan(0);
  expect(existsSync('/sys/fs/cgroup/memory/pintle-facts-facts')).toBe(false);
  expect(existsSync('/sys/fs/cgroup/pintle-facts-facts')).toBe(false);
}
/** A process without namespaces of its own but what its root gives it. */
function asProcesses(found: InForce): void {
  sameForAll(found);
  const { facts, environment, namespaces } = found;
  expect(facts).toContain('own process');
  expect(facts).toContain('clean environment');
  const names = environment.split('\0').flatMap((word) => word.split('=')[0] || []);
  expect(names.sort()).toEqual(['HOME', 'PATH', 'TMPDIR']);
  expect(facts).toContain('network of the host');
  expect(namespaces).not.toContain('net');
  expect(facts.join()).not.toMatch(/Landlock|own root/);
}

test.skipIf(!sandboxed)(
  'as root: what is listed is what /proc shows',
  async () => {
    const found = await inForce([]);
    asSandboxes(found);
    asRoots(found);
  },
  limitMs,
);

const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
const rootless =
  sandboxed && Bun.which('setpriv') && Bun.spawnSync([...asNobody, 'unshare', '-U', '-r', '-m', '-n', 'true']).success;
test.skipIf(!rootless)(
  'without root: a user namespace, and what is missing is said',
  async () => {
    const found = await inForce(asNobody);
    asSandboxes(found);
    const { facts, status, namespaces } = found;
    expect(facts).toContain('user namespace');
    expect(namespaces).toContain('user');
    expect(field(status, 'Uid').split(/\s+/)[0]).toBe('65534');
    expect(facts.join()).not.toContain('uid ');
    expect(facts).toContain('no memory limit: that needs root');
    expect(found.memory).toBeUndefined();
  },
  limitMs,
);

test.skipIf(!sandboxed)(
  'a process as root: what is listed is what /proc shows, and what is mounted for it is its own',
  async () => {
    const says =
      'console.log(JSON.stringify([process.cwd(), import.meta.dir, process.env.HOME, require("fs").readdirSync("/tmp")])); setInterval(() => {}, 1000);';
    const found = await inForce([], {}, says, 'process');
    asProcesses(found);
    asRoots(found);
    expect(field(found.status, 'CapBnd')).toMatch(/^0+$/);
    expect(found.facts).toContain('own /tmp: bundle read-only, state writable');
    expect(found.namespaces).toEqual(['mnt']);
    const state = '/tmp/pintle/state';
    expect(JSON.parse(found.said)).toEqual([state, '/tmp/pintle/plugin', state, ['pintle']]);
    const mounts = found.mounts.split('\n').map((line) => line.split(' '));
    const optionsOf = (path: string) => mounts.findLast((words) => words[4] === path)?.[5] ?? '';
    for (const name of ['plugin', 'bin/bun']) expect(optionsOf(`/tmp/pintle/${name}`)).toMatch(/\bro\b/);
    expect(optionsOf(state)).toMatch(/\brw\b/);
    const passedOn = mounts.filter((words) => words.some((word) => word.startsWith('shared:')));
    expect(passedOn).toEqual([]); // what it mounts stays its own
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toMatch(/ \/tmp\/pintle[ /]/);
  },
  limitMs,
);
test.skipIf(!rootless)(
  'a process without root: the user of the host, and what is missing is said',
  async () => {
    const found = await inForce(asNobody, {}, waiting, 'process');
    asProcesses(found);
    const { facts, status, namespaces, memory } = found;
    expect(namespaces).toEqual([]);
    expect(facts).toContain('user of the host: one of its own needs root');
    expect(field(status, 'Uid').split(/\s+/)[0]).toBe('65534');
    expect(facts).toContain('no memory limit: that needs root');
    expect(memory).toBeUndefined();
  },
  limitMs,
);
test.skipIf(!sandboxed)(
  `${attemptsAsProcessCount + 1} attempts of a process at the machine and at others, none succeeds`,
  async () => {
    const home = mkdtempSync('/var/tmp/pintle-home-'); // not in /tmp, which the plugin does not see;
    const other = Bun.spawn(['setpriv', '--reuid=799999998', '--regid=799999998', '--clear-groups', 'sleep', '300']);
    try {
      const mark = join(home, 'key');
      writeFileSync(mark, 'the treasure', { mode: 0o644 }); // what keeps it is the folder
      mkdirSync(join(home, 'other', 'state'), { recursive: true });
      writeFileSync(join(home, 'other', 'state', 'secret'), 'the treasure');
      const socket = join(home, 'docker.sock');
      using _unix = Bun.listen({ unix: socket, socket: { data() {} } });
      chmodSync(socket, 0o777);
      const inGroups = (...names: string[]) =>
        ['memory/', 'pids/', ''].flatMap((one) => names.map((name) => `/sys/fs/cgroup/${one}${name}`));
      const own = ['memory.max', 'memory.limit_in_bytes', 'pids.max'].map((name) => `pintle-facts-facts/${name}`);
      const machine = { home, other: other.pid, groups: inGroups('cgroup.procs'), limits: inGroups(...own) };
      const text = attemptsAsProcess('/tmp/pintle', mark, machine);
      const found = await inForce([], {}, text.replace('SOCKET', JSON.stringify(socket)), 'process');
      expect(JSON.parse(found.said)).toEqual({});
      expect(other.exitCode).toBeNull();
      expect(existsSync(mark)).toBe(true);
    } finally {
      other.kill('SIGKILL');
      rmSync(home, { recursive: true, force: true });
    }
  },
  limitMs,
);

const dialling = (port: number) => `
const tries = {};
const on = async (name, work) => { tries[name] = await work().then(() => "yes", () => "no"); };
await on("connect", async () => (await Bun.connect({ hostname: "127.0.0.1", port: ${port}, socket: { data() {} } })).end());
await on("listen", async () => Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }).stop(true));
await on("unix", async () => (await Bun.connect({ unix: "/var/run/docker.sock", socket: { data() {} } })).end());
console.log(JSON.stringify(tries)); setInterval(() => {}, 1000);`;
test.skipIf(!sandboxed)(
  'needs.net: it connects to others and does not listen; without it nobody is there',
  async () => {
    using server = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
    const open = await inForce([], { net: ['outbound'] }, dialling(server.port));
    expect(open.namespaces).not.toContain('net');
    expect(open.facts).toContain('network of the host');
    expect(open.facts).not.toContain('network namespace without interfaces');
    const keeps = landlockVersion() >= 4;
    expect(open.facts.includes('no listening')).toBe(keeps);
    expect(JSON.parse(open.said)).toEqual({ connect: 'yes', listen: keeps ? 'no' : 'yes', unix: 'no' });
    const closed = await inForce([], {}, dialling(server.port));
    expect(JSON.parse(closed.said)).toMatchObject({ connect: 'no', unix: 'no' });
  },
  limitMs,
);
test('needs.net is a right of its own, dangerous, and none of the API', () => {
  const needs = { net: ['outbound'], pods: ['get'] };
  expect(dangerous(needs)).toEqual(['uses the network of its host, outgoing']);
  expect(JSON.stringify(rulesOf({ resources: [], needs }, needs))).not.toContain('net"');
});
