import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Config, Home, hostIdOf } from './home.ts';
import { runningHomes, waitUntil } from './processes.ts';

/**
 * One file for each cluster of root, its name the host's id in it: a stopped cluster keeps its ranges too. Its lines are the
 * home, and the network namespace that it was started in.
 */
const registry = '/run/pintle/homes';

export function register(home: Home, config: Config, folder = registry): void {
  if (process.getuid?.() !== 0) return; // others are seen by their processes and listeners alone
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  writeFileSync(join(folder, hostIdOf(config)), `${home.folder}\n${networkOf('self')}`);
}
/** Of a process; empty when it is another user's. */
function networkOf(pid: number | 'self'): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return '';
  }
}

export function unregister(hostId: string, folder = registry): void {
  rmSync(join(folder, hostId), { force: true });
  for (const one of [folder, dirname(folder)])
    try {
      rmdirSync(one); // the last one leaves nothing
    } catch {}
}

/** Entries of all homes below a folder. */
export function forgetBelow(below: string, folder = registry): void {
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {} // none was registered
  for (const name of names) if (entryOf(join(folder, name)).home.startsWith(`${below}/`)) unregister(name, folder);
}

/** Configurations of the other clusters, running or stopped, that share this network namespace: the others' ports and ranges are not ours. */
export function neighbours(home: Home, folder = registry): Config[] {
  const own = networkOf('self');
  const isNear = (network: string) => network === '' || network === own;
  const running = [...runningHomes()].filter(([, records]) => records.some(({ pid }) => isNear(networkOf(pid))));
  const near = registered(folder).filter(({ network }) => isNear(network));
  const folders = new Set([...running.map(([one]) => one), ...near.map((entry) => entry.home)]);
  folders.delete(home.folder);
  return [...folders].flatMap((one) => {
    try {
      return [new Home(one).read()];
    } catch {
      return []; // a home that was removed by hand, or is another user's
    }
  });
}

interface Entry {
  readonly home: string;
  /** Empty: not known. */
  readonly network: string;
}
function entryOf(path: string): Entry {
  const [home = '', network = ''] = readFileSync(path, 'utf8').split('\n');
  return { home, network };
}
function registered(folder: string): Entry[] {
  try {
    return readdirSync(folder).flatMap((name) => {
      const entry = entryOf(join(folder, name));
      if (existsSync(entry.home)) return [entry];
      rmSync(join(folder, name), { force: true }); // its folder was removed by hand
      return [];
    });
  } catch {
    return []; // none was registered, or one is going away
  }
}

const aloneLimitMs = 30_000;

/**
 * One first start at a time chooses ranges and ports on this host. The lock is an abstract socket: it leaves no file, ends
 * with the process, and is as wide as what is chosen, a network namespace. Somebody who keeps it only delays us.
 */
export async function chooseAlone<T>(work: () => Promise<T>): Promise<T> {
  let socket: { stop(force: boolean): void } | undefined;
  await waitUntil(() => (socket ??= listen()) !== undefined, aloneLimitMs);
  try {
    return await work();
  } finally {
    socket?.stop(true);
  }
}

function listen(): { stop(force: boolean): void } | undefined {
  try {
    return Bun.listen({ unix: '\0pintle-first-start', socket: { data() {} } });
  } catch {
    return undefined;
  }
}
