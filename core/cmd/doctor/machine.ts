import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Exec } from '#base';
import { type EngineFound, engineNamed, findEngine } from '../engine.ts';

/** What a machine has, read once. Everything that `doctor` and `up` decide is decided from this value. */
export interface Machine {
  readonly linux: boolean;
  readonly root: boolean;
  readonly aptSystem: boolean;
  readonly serviceManager: boolean;
  readonly engine?: EngineFound;
  /** The socket that DOCKER_HOST names, whether or not somebody answers there. */
  readonly engineNamed?: string;
  readonly dockerd?: string;
  readonly nft: 'works' | 'absent' | 'refused';
  readonly ip?: string;
  readonly nsenter?: string;
  readonly conntrack?: string;
  readonly cgroup: 'v1' | 'v2' | 'none';
  readonly kubectl?: { readonly path: string; readonly minor: number; readonly text: string };
  readonly canLowerOomScore: boolean;
  readonly freeBytes: number;
  /** Active host firewalls that also judge pod traffic, with the commands that let it through. Asked by `doctor` alone. */
  readonly firewalls?: readonly { readonly name: string; readonly mend: readonly string[] }[];
}

const which = (name: string): string | undefined => Bun.which(name, { PATH: process.env['PATH'] }) ?? undefined; // without it, the PATH at the start counts

export async function inspectMachine(
  exec: Exec,
  homeFolder: string,
  options: { kubectl: boolean } = { kubectl: true },
): Promise<Machine> {
  const root = process.getuid?.() === 0;
  const [engine, nft, kubectl] = await Promise.all([
    findEngine(),
    nftState(exec, root),
    options.kubectl ? findKubectl(exec, join(homeFolder, 'bin', 'kubectl')) : undefined,
  ]);
  return {
    linux: process.platform === 'linux',
    root,
    aptSystem: existsSync('/usr/bin/apt-get'),
    serviceManager: existsSync('/run/systemd/system'),
    engine,
    engineNamed: engineNamed(),
    dockerd: which('dockerd'),
    nft,
    ip: which('ip'),
    nsenter: which('nsenter'),
    conntrack: which('conntrack'),
    cgroup: existsSync('/sys/fs/cgroup/cgroup.controllers')
      ? 'v2'
      : existsSync('/sys/fs/cgroup/memory')
        ? 'v1'
        : 'none',
    kubectl,
    canLowerOomScore: root && hasCapability(24), // CAP_SYS_RESOURCE
    freeBytes: freeBytes(homeFolder),
  };
}

async function nftState(exec: Exec, root: boolean): Promise<Machine['nft']> {
  if (!which('nft')) return 'absent';
  if (!root) return 'refused';
  return (await exec.run(['nft', 'list', 'tables'])).code === 0 ? 'works' : 'refused';
}

/** The one on PATH, else the one in the home folder; a PATH one below 1.31 loses to a newer one at home. */
export async function findKubectl(exec: Exec, atHome: string): Promise<Machine['kubectl']> {
  const candidates = [which('kubectl'), isExecutable(atHome) ? atHome : undefined].filter((path) => path !== undefined);
  const found = await Promise.all(candidates.map((path) => kubectlVersion(exec, path)));
  const usable = found.filter((one) => one !== undefined);
  return usable.find((one) => one.minor >= 31) ?? usable[0];
}

async function kubectlVersion(exec: Exec, path: string): Promise<Machine['kubectl']> {
  const result = await exec.run([path, 'version', '--client', '-o', 'json'], { timeoutMs: 10_000 });
  const text = /"gitVersion": *"(v[^"]+)"/.exec(result.stdout)?.[1];
  const minor = /^v1\.(\d+)/.exec(text ?? '')?.[1];
  return text && minor ? { path, minor: Number(minor), text } : undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function hasCapability(bit: number): boolean {
  try {
    const effective = /CapEff:\s*([0-9a-f]+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
    return ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 1n;
  } catch {
    return false;
  }
}

function freeBytes(folder: string): number {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const stats = statfsSync(at);
      return Number(stats.bavail) * Number(stats.bsize);
    } catch {
      if (at === dirname(at)) return 0;
    }
  }
}
