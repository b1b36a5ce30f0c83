import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Exec, Scope, systemClock, systemExec } from '#base';
import type { Lease, LocalHost, NetworkBackend } from '#net/backend';
import { createHostGatewayBackend } from '../../net/backends/host-gw.ts';
import { createVxlanBackend } from '../../net/backends/vxlan.ts';
import { createWireguardBackend } from '../../net/backends/wireguard.ts';
import { newKeyPair } from '../../net/wireguard/keys.ts';
import { makeOverlayHosts, type OverlayHost, type OverlayHosts } from '../fixtures/overlay-hosts.ts';
import { handMade } from './parts/overlay-hand-made.ts';
import { type BenchOptions, millisOf, percentile, type Row, ratioRow, Skip, valueRow } from './parts/row.ts';

const names = ['wireguard', 'vxlan', 'host-gw'] as const;
type Name = (typeof names)[number];
const program = join(import.meta.dir, 'parts/overlay-load.ts');
const lookEveryS = 30; // how often the overlay compares the machine with what is wanted
const idleMs = 10_000;

function make(name: Name, host: OverlayHost, clusterId: string, exec: Exec = host.exec): NetworkBackend {
  const options = { clusterId, node: host.local.node, stateFolder: host.folder, exec, clock: systemClock };
  if (name === 'wireguard') return createWireguardBackend(options);
  return name === 'vxlan' ? createVxlanBackend(options) : createHostGatewayBackend(options);
}

/**
 * Figures `overlay`: throughput and round trips pod to pod over two hosts (namespaces) by each backend against the same
 * veth, bridge and device set up by hand, in turn; 500 peers: the first sync, one change, processes for a change, and what
 * a look every 30 s costs when nothing changes.
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  if (process.getuid?.() !== 0) throw new Skip('network namespaces need root');
  if (!Bun.which('wg') || !Bun.which('wireguard-go')) throw new Skip('wg or wireguard-go is not installed');
  for (const name of names) yield* paths(name, options);
  for (const name of names) yield* manyPeers(name, options);
}

/** One way between two pods, ready to be driven. */
interface Way extends AsyncDisposable {
  drive(what: 'send' | 'turn', amount: number): Promise<number>;
}
const kinds = ['ours', 'byHand', 'control'] as const;
type Kind = (typeof kinds)[number];
type Figures = Record<Kind, number>;

/**
 * Two processes that talk to each other are faster or slower than the next two for as long as they live, by more than what is
 * measured here: so each round has new ones, in another order, with many short turns, and two ways made by hand say how far
 * apart equal ones come out.
 */
async function* paths(name: Name, options: BenchOptions): AsyncIterable<Row> {
  const bytes = options.smoke ? 1_000_000 : name === 'wireguard' ? 4_000_000 : 40_000_000;
  const count = options.smoke ? 50 : 500;
  const sent: Figures[] = [];
  const turned: Figures[] = [];
  for (let round = 0; round < (options.smoke ? 1 : 6); round++) {
    await using ways = new DisposableWays();
    for (const kind of turnedBy(kinds, round)) ways.all.set(kind, await makeWay(name, kind));
    for (let turn = 0; turn < (options.smoke ? 1 : 12); turn++) {
      sent.push(await ways.inTurn('send', bytes, turn));
      turned.push(await ways.inTurn('turn', count, turn));
    }
  }
  for (const [what, unit, figures] of [
    ['throughput', 'Mbit/s', sent],
    ['round-trips', '/s', turned],
  ] as const) {
    const against = (kind: Kind) => figures.map((each): [number, number] => [each[kind], each.byHand]);
    yield ratioRow(`overlay.${name}.${what}`, unit, against('ours'), '>= 0.97');
    yield ratioRow(`overlay.${name}.${what}.control`, unit, against('control'));
  }
  if (name === 'wireguard') yield await idle(options);
}
const turnedBy = <T>(list: readonly T[], by: number): T[] => list.map((_, index) => list[(index + by) % list.length]!);

class DisposableWays implements AsyncDisposable {
  readonly all = new Map<Kind, Way>();
  async inTurn(what: 'send' | 'turn', amount: number, turn: number): Promise<Figures> {
    const figures: Partial<Figures> = {};
    for (const kind of turnedBy(kinds, turn)) figures[kind] = await this.all.get(kind)!.drive(what, amount);
    return figures as Figures;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    for (const way of this.all.values()) await way[Symbol.asyncDispose]();
  }
}

async function makeWay(name: Name, kind: Kind): Promise<Way> {
  const scope = new Scope();
  try {
    const world = scope.use(await makeOverlayHosts(2));
    const mtuBytes = kind === 'ours' ? await ourWay(name, world, scope) : podMtuBytes[name];
    if (kind !== 'ours') await handMade(name, world, mtuBytes);
    await world.setPodMtu(mtuBytes);
    const { drive } = scope.use(await startLoad(world));
    await drive('turn', 10);
    return { drive, [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose]() };
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}
const podMtuBytes: Record<Name, number> = { wireguard: 1440, vxlan: 1450, 'host-gw': 1500 };

/** Resolves to the MTU of pods. */
async function ourWay(name: Name, world: OverlayHosts, scope: Scope): Promise<number> {
  const backends = world.hosts.map((host) => make(name, host, world.clusterId));
  scope.defer(() => Promise.all(backends.map((backend) => backend.purge())));
  const prepared = await Promise.all(backends.map((backend, index) => backend.prepare(world.hosts[index]!.local)));
  const leases = world.hosts.map(
    ({ local }, index): Lease => ({ ...local, backend: name, data: prepared[index]!.data }),
  );
  for (const backend of backends) await backend.sync(leases);
  if (prepared[0]!.podMtuBytes !== podMtuBytes[name]) throw new Error(`${name}: the ways have not the same MTU`);
  return prepared[0]!.podMtuBytes;
}

/** Programs in both pods; `drive` puts a load on the way between them. */
async function startLoad(world: OverlayHosts) {
  const [from, to] = world.hosts as [OverlayHost, OverlayHost];
  const start = (host: OverlayHost, mode: string) =>
    Bun.spawn(['nsenter', `--net=${host.podNetns}`, '--', process.execPath, program, mode], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    });
  const server = start(to, 'serve');
  const client = start(from, 'drive');
  await server.stdout.getReader().read();
  const answers = client.stdout.getReader();
  return {
    async drive(what: 'send' | 'turn', amount: number): Promise<number> {
      client.stdin.write(`${what} ${to.podIps[0]} ${amount}\n`);
      await client.stdin.flush();
      const { value } = await answers.read();
      if (!value) throw new Error('the client in the pod ended');
      return Number(new TextDecoder().decode(value));
    },
    async [Symbol.asyncDispose]() {
      for (const child of [client, server]) {
        child.kill();
        await child.exited;
      }
    },
  };
}

/** Clock ticks (10 ms) that a process has used, and those that its ended children have. */
function ticksOf(pid: number | 'self'): { own: number; children: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  return { own: fields[11]! + fields[12]!, children: fields[13]! + fields[14]! };
}

/** Processor time of this process and of the programs that it ran. */
function usedMs(): number {
  const { own, children } = ticksOf('self');
  return (own + children) * 10;
}

/** The daemon that encrypts, when nothing flows but keepalives. 0 where the kernel does it. */
async function idle(options: BenchOptions): Promise<Row> {
  await using scope = new Scope();
  const world = scope.use(await makeOverlayHosts(2));
  await ourWay('wireguard', world, scope);
  const host = world.hosts[0]!;
  const { stdout } = await systemExec.run(['ip', 'netns', 'pids', host.netns.split('/').at(-1)!]);
  const pids = stdout.split('\n').filter(Boolean);
  const daemons = pids.filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('wireguard'));
  const used = () => daemons.reduce((sum, pid) => sum + ticksOf(Number(pid)).own, 0);
  const before = used();
  const ms = options.smoke ? 100 : idleMs;
  await Bun.sleep(ms);
  return valueRow('overlay.wireguard.idle', ((used() - before) * 10 * 100) / ms, '% of a core', '<= 0.2');
}

const peerCount = 500;
/** The addresses of all peers, on one host. */
const answeringForAll = ['8/29', '16/28', '32/27', '64/26', '128/25']
  .map((range) => `route add local 172.31.77.${range} dev lo table local\n`)
  .join('');
function leaseOf(name: Name, index: number, endpoint: number): Lease {
  const data: Record<Name, () => Record<string, string>> = {
    wireguard: () => ({ 'key.1': newKeyPair().publicKey, 'port.1': '21000', sendsOn: '1' }),
    vxlan: () => ({
      mac: `0a:00:00:00:${(index >> 8).toString(16).padStart(2, '0')}:${(index & 255).toString(16).padStart(2, '0')}`,
    }),
    'host-gw': () => ({ ipv6: `fe80::1:${index.toString(16)}` }),
  };
  return {
    node: `peer${index}`,
    subnets: [`10.${80 + (index >> 8)}.${index & 255}.0/24`, `fd80:0:0:${index.toString(16)}::/64`],
    endpoint: `172.31.77.${endpoint}`,
    backend: name,
    data: data[name](),
  };
}

async function* manyPeers(name: Name, options: BenchOptions): AsyncIterable<Row> {
  await using world = await makeOverlayHosts(2);
  const host = world.hosts[0]!;
  // The other host stands for all peers. Where nobody answers for an address of the own link, packets to it wait for three
  // seconds in the socket's buffer, and a few hundred fill that: wireguard-go then stands still.
  await world.hosts[1]!.exec.run(['ip', '-batch', '-'], { stdin: answeringForAll });
  let processes = 0;
  const counting: Exec = {
    run(argv, each) {
      processes++;
      return host.exec.run(argv, each);
    },
  };
  const local: LocalHost = host.local;
  const backend = make(name, host, world.clusterId, counting);
  try {
    const { data } = await backend.prepare(local);
    const leases = Array.from({ length: options.smoke ? 20 : peerCount }, (_, index) => {
      const lease = leaseOf(name, index, 10 + (index % 200));
      return name === 'vxlan' ? { ...lease, data: { ...data, ...lease.data } } : lease;
    });
    yield valueRow(`overlay.${name}.full-sync`, await millisOf(() => backend.sync(leases)), 'ms', '<= 1500');
    const times: number[] = [];
    processes = 0;
    const changes = options.smoke ? 4 : 60;
    const first = usedMs();
    for (let index = 0; index < changes; index++) {
      leases[index % leases.length] = {
        ...leases[index % leases.length]!,
        endpoint: `172.31.77.${211 + (index % 40)}`,
      };
      times.push(await millisOf(() => backend.sync(leases)));
    }
    const each = processes / changes;
    const changeMs = (usedMs() - first) / changes;
    yield valueRow(`overlay.${name}.change.p50`, percentile(times, 0.5), 'ms', '<= 20');
    yield valueRow(`overlay.${name}.change.p99`, percentile(times, 0.99), 'ms');
    yield valueRow(`overlay.${name}.change.processor`, changeMs, 'ms', '<= 20');
    yield valueRow(`overlay.${name}.change.processes`, each, 'processes', '<= 3');
    const looks = options.smoke ? 2 : 40;
    const before = usedMs();
    for (let index = 0; index < looks; index++) await backend.sync(leases);
    const lookMs = (usedMs() - before) / looks;
    yield valueRow(`overlay.${name}.look`, (lookMs / (lookEveryS * 1000)) * 100, '% of a core', '<= 0.2');
  } finally {
    await backend.purge();
  }
}
