import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Config, Home, hostIdOf } from './home.ts';
import { runningHomes, waitUntil } from './processes.ts';

/** One file for each cluster of root, its name the host's id in it, its text the home: a stopped cluster keeps its ranges too. */
const registry = '/run/pintle/homes';

export function register(home: Home, config: Config, folder = registry): void {
  if (process.getuid?.() !== 0) return; // others are seen by their processes and listeners alone
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  writeFileSync(join(folder, hostIdOf(config)), home.folder);
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
  for (const name of names)
    if (readFileSync(join(folder, name), 'utf8').startsWith(`${below}/`)) unregister(name, folder);
}

/** Configurations of all other clusters of this host, running or stopped. */
export function neighbours(home: Home, folder = registry): Config[] {
  const folders = new Set([...runningHomes().keys(), ...registered(folder)]);
  folders.delete(home.folder);
  return [...folders].flatMap((one) => {
    try {
      return [new Home(one).read()];
    } catch {
      return []; // a home that was removed by hand, or is another user's
    }
  });
}

function registered(folder: string): string[] {
  try {
    return readdirSync(folder).flatMap((name) => {
      const home = readFileSync(join(folder, name), 'utf8');
      if (existsSync(home)) return [home];
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
