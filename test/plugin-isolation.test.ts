// Levels of isolation: what a host cannot give is refused with the reason, and what status.sandbox lists is in force.
import { afterAll, expect, test } from 'bun:test';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { landlockVersion, Scope, spawnDuplex } from '#base';
import { sha256Of } from '../core/host/bundle.ts';
import { type MachineProbe, mustGive, thisMachine } from '../core/host/levels.ts';
import { dangerous, rulesOf } from '../core/host/rbac.ts';
import type { StepError } from '../core/host/status.ts';
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

test.each<[string, 'sandbox' | 'container', Partial<Parameters<typeof mustGive>[1]>, string]>([
  ['no engine', 'container', {}, 'this host has no container engine'],
  ['no Landlock', 'sandbox', { machine: machine({ landlockVersion: () => 0 }) }, 'this kernel has no Landlock'],
  ['no unshare', 'sandbox', { machine: without('unshare') }, 'no program unshare'],
  [
    'no namespaces',
    'sandbox',
    { spawn: refusing },
    'gives no namespaces, which the sandbox needs: unshare failed: Operation not permitted',
  ],
])('a host with %s refuses %s', async (_what, level, more, why) => {
  const refused = (await rejection(mustGive(level, { spawn: spawnDuplex, ...more }))) as StepError;
  expect(refused).toMatchObject({ step: 'Loaded', reason: 'IsolationImpossible' });
  expect(refused.message).toContain(why);
});
test('a host gives the process without a question', () =>
  mustGive('process', { spawn: refusing, machine: machine({ landlockVersion: () => 0 }) }));

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
  },
  limitMs,
);

interface InForce {
  readonly facts: readonly string[];
  readonly status: string;
  readonly limits: string;
  readonly cgroup: string;
  readonly interfaces: string;
  readonly namespaces: readonly string[];
  readonly memory?: number;
  /** The first line of the program itself. */
  readonly said: string;
}
const waiting = 'console.log("on"); setInterval(() => {}, 1000);';
/** As this user, or as nobody. */
async function inForce(as: readonly string[], needs: object = {}, code = waiting): Promise<InForce> {
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
      JSON.stringify({ ...facts, ...rest, isolation: 'sandbox', entry: 'plugin.js', files }),
    );
    const script = join(import.meta.dir, 'fixtures/launch-facts.ts');
    const child = Bun.spawn([...as, process.execPath, script, folder], { stdout: 'pipe', stderr: 'pipe', cwd: '/' });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (!out) throw new Error(err);
    return JSON.parse(out) as InForce;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
const field = (text: string, name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(text)?.[1] ?? '';
function sameForAll({ facts, status, limits, interfaces, namespaces }: InForce): void {
  expect(facts).toContain('no_new_privs');
  expect(field(status, 'NoNewPrivs')).toBe('1');
  expect(facts).toContain('no capabilities');
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) expect(field(status, set)).toMatch(/^0+$/);
  expect(facts).toContain('network namespace without interfaces');
  expect(namespaces).toContain('net');
  const links = interfaces.split('\n').flatMap((line) => /^\s*([\w.-]+):/.exec(line)?.[1] ?? []);
  expect(links.filter((name) => name !== 'lo')).toEqual([]);
  expect(facts.join()).toContain('own root');
  expect(namespaces).toContain('mnt');
  expect(facts).toContain('open files 512');
  expect(limits).toMatch(/^Max open files\s+512\s+512/m);
  expect(limits).toMatch(/^Max core file size\s+0\s+0/m);
  expect(facts.join()).toMatch(/Landlock [1-9]/);
}

test.skipIf(!sandboxed)(
  'as root: what is listed is what /proc shows',
  async () => {
    const found = await inForce([]);
    sameForAll(found);
    const { facts, status, cgroup } = found;
    const uid = /uid (\d+)/.exec(facts.join())![1]!;
    expect(Number(uid)).toBeGreaterThanOrEqual(700_000_000);
    expect(field(status, 'Uid').split(/\s+/)).toEqual([uid, uid, uid, uid]);
    expect(field(status, 'Gid').split(/\s+/)).toEqual([uid, uid, uid, uid]);
    expect(field(status, 'Groups').trim()).toBe('');
    expect(facts.join()).toContain('memory 256 MiB and 64 tasks');
    const version = /cgroup (v\d)/.exec(facts.join())![1];
    const lines = cgroup.split('\n').filter((line) => line.endsWith('/pintle-facts-facts'));
    expect(lines.length).toBe(version === 'v2' ? 1 : 2);
    expect(found.memory).toBeGreaterThan(0);
    expect(existsSync('/sys/fs/cgroup/memory/pintle-facts-facts')).toBe(false);
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
    sameForAll(found);
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
