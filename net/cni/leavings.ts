import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Exec } from '#base';
import type { CniList, CniResult } from './chain.ts';

/**
 * What CNI plugins leave on a host although every pod is detached: their specification knows no removal of the host's side.
 * Bridges that came with our pods, and host-local's folders of a network that has no reservations.
 */
interface Leavings {
  /** Bridges that were there before our first pod, or are somebody else's since: never touched. */
  readonly others: readonly string[];
  readonly bridges: readonly string[];
  /** Folders with the reservations of one network each. */
  readonly reservations: readonly string[];
}
const hostLocalFolder = '/var/lib/cni/networks';
/** host-local's own; every other file in its folder is an address that somebody has. */
const isReservation = (name: string): boolean => name !== 'lock' && !name.startsWith('last_reserved_ip.');

export class CniLeavings {
  readonly #path: string;
  constructor(
    folder: string,
    private readonly exec: Exec,
  ) {
    this.#path = join(folder, 'leavings.json');
  }

  /** Before the plugins do anything on this host. What is there then is not ours. */
  async begin(): Promise<void> {
    if (!existsSync(this.#path)) this.#write({ others: await this.#bridges(), bridges: [], reservations: [] });
  }

  /** After an ADD. */
  note(list: CniList, result: CniResult): void {
    const known = this.#read();
    if (!known) return; // a start of an older version: nobody can tell what was there before
    const outside = (result.interfaces ?? []).filter(({ sandbox }) => !sandbox).map(({ name }) => name);
    const bridges = outside.filter((name) => isNamedIn(list, name) && !known.others.includes(name));
    const next = {
      ...known,
      bridges: [...new Set([...known.bridges, ...bridges])],
      reservations: [...new Set([...known.reservations, ...reservationFolders(list)])],
    };
    if (!Bun.deepEquals(next, known)) this.#write(next);
  }

  /** After every pod is detached. What somebody else uses by now stays. Throws what could not be removed. */
  async remove(): Promise<void> {
    const { bridges = [], reservations = [] } = this.#read() ?? {};
    const there = await this.#bridges();
    for (const bridge of bridges.filter((name) => there.includes(name))) {
      const ports = await this.exec.run(['ip', '-o', 'link', 'show', 'master', bridge]);
      if (ports.stdout.trim()) continue;
      const { code, stderr } = await this.exec.run(['ip', 'link', 'delete', 'dev', bridge]);
      if (code !== 0) throw new Error(`cannot remove the bridge ${bridge}: ${stderr.trim()}`);
    }
    for (const folder of reservations) {
      if (!existsSync(folder) || readdirSync(folder).some(isReservation)) continue;
      rmSync(folder, { recursive: true, force: true });
      if (readdirSync(dirname(folder)).length === 0) rmdirSync(dirname(folder));
    }
    rmSync(this.#path, { force: true });
  }

  async #bridges(): Promise<string[]> {
    const { stdout } = await this.exec.run(['ip', '-o', 'link', 'show', 'type', 'bridge']);
    return [...stdout.matchAll(/^\d+: ([^:@\s]+)/gm)].map(([, name]) => name!);
  }
  #read(): Leavings | undefined {
    try {
      return JSON.parse(readFileSync(this.#path, 'utf8')) as Leavings;
    } catch {
      return undefined;
    }
  }
  #write(leavings: Leavings): void {
    mkdirSync(dirname(this.#path), { recursive: true });
    writeFileSync(`${this.#path}.new`, JSON.stringify(leavings), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }
}

/** Plugins also show the host's ends of pods: those go with the pod. A bridge is what a plugin was told to use. */
const isNamedIn = (list: CniList, name: string): boolean =>
  list.plugins.some((plugin) => plugin.type === 'bridge' && (plugin['bridge'] ?? 'cni0') === name);

/** Where host-local keeps the reservations of this network. Pure. */
export function reservationFolders({ name, plugins }: CniList): string[] {
  return plugins.flatMap(({ ipam }) => {
    const { type, dataDir } = (ipam ?? {}) as { type?: unknown; dataDir?: unknown };
    if (type !== 'host-local') return [];
    return [join(typeof dataDir === 'string' && dataDir ? dataDir : hostLocalFolder, name)];
  });
}
