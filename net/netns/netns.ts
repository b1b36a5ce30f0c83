import { readFileSync, statSync } from 'node:fs';
import type { Exec } from '#base';

/** Network namespaces by name, as `ip netns` keeps them. */
export const netnsPath = (name: string): string => `/run/netns/${name}`;

/** Inode of a namespace: what `/proc/PID/ns/net` of a process in it shows. Undefined when there is none of that name. */
export function netnsInode(name: string): number | undefined {
  const found = statSync(netnsPath(name), { throwIfNoEntry: false });
  // A namespace that was deleted in the middle of a crash leaves a plain file.
  return found && isMountPoint(netnsPath(name)) ? found.ino : undefined;
}

function isMountPoint(path: string): boolean {
  try {
    return readFileSync('/proc/self/mounts', 'utf8').includes(` ${path} nsfs `);
  } catch {
    return false;
  }
}

/** Names of all namespaces that begin so, files of half-deleted ones included. */
export async function listNetns(exec: Exec, prefix: string): Promise<string[]> {
  const { stdout } = await exec.run(['ip', 'netns', 'list']);
  return stdout
    .split('\n')
    .map((line) => line.split(' ')[0]!)
    .filter((name) => name.startsWith(prefix));
}

/** Deletes a namespace with every link and rule in it. What still runs there keeps it alive without its name: end that first. */
export async function deleteNetns(exec: Exec, name: string): Promise<void> {
  const done = await exec.run(['ip', 'netns', 'delete', name]);
  if (done.code !== 0 && !/No such file/.test(done.stderr))
    throw new Error(`cannot delete the network namespace ${name}: ${done.stderr.trim()}`);
}
