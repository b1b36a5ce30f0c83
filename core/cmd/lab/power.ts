import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PintleError, systemExec } from '#base';
import { netnsInode } from '../../../net/netns/netns.ts';
import { Home } from '../home.ts';
import { signal, waitUntil } from '../processes.ts';
import { allProcesses, belongings, type HostMarks, type ProcessFacts } from './belongings.ts';

/** A host's end, as by a power cut: every process, then what only a kernel that ran on would keep. Its disk (the home) stays. */
export async function powerOff(hosts: readonly { readonly folder: string; readonly netns: string }[]): Promise<void> {
  const marks = hosts.map(({ folder, netns }): HostMarks => {
    const inode = netnsInode(netns);
    return { folder, ...(inode === undefined ? {} : { netns: inode }), containers: containersOf(folder) };
  });
  const killed = await killAll(marks);
  for (const { argv } of killed) removeTunnelSocket(argv);
  removeCgroups(
    marks.flatMap((one) => one.containers),
    hosts.flatMap(({ folder }) => clusterOf(folder)),
  );
  await unmountBelow(hosts.map(({ folder }) => folder));
}

const killLimitMs = 20_000;

/** Again until nothing is left: what was about to be started when we looked is found the next time. */
async function killAll(marks: readonly HostMarks[]): Promise<ProcessFacts[]> {
  const seen = new Map<string, ProcessFacts>();
  let left: readonly ProcessFacts[] = [];
  const gone = await waitUntil(
    () => {
      left = belongings(allProcesses(), marks, process.pid);
      for (const one of left) {
        seen.set(`${one.pid} ${one.startTicks}`, one);
        signal(one, 'SIGKILL');
      }
      return left.length === 0;
    },
    killLimitMs,
    20,
  );
  if (!gone)
    throw new PintleError(
      'LAB_STUCK',
      `${left.length} processes of the lab do not end, such as ${left[0]?.pid} (${left[0]?.argv.slice(0, 2).join(' ')})`,
      'see what they wait for (a stalled disk or mount), then run this again',
    );
  return [...seen.values()];
}

const containersOf = (folder: string): string[] => {
  try {
    return readdirSync(join(folder, 'engine/data/containers'));
  } catch {
    return []; // its engine has not started yet
  }
};

/** wireguard-go's control sockets lie outside of all namespaces; killed, it leaves them. */
function removeTunnelSocket(argv: readonly string[]): void {
  const at = argv.findIndex((word) => word.endsWith('wireguard-go'));
  const name =
    at < 0 ? undefined : argv.slice(at + 1).find((word) => /^[\w.-]{1,15}$/.test(word) && !word.startsWith('-'));
  if (name) rmSync(`/var/run/wireguard/${name}.sock`, { force: true });
}

const clusterOf = (folder: string): string[] => {
  const home = new Home(folder);
  return home.exists() ? [home.read().clusterId] : [];
};

/** Of containers whose shim could not take them away, and of plugins; one that still is somebody's is not empty and stays. */
function removeCgroups(containers: readonly string[], clusters: readonly string[]): void {
  const root = '/sys/fs/cgroup';
  const foldersIn = (path: string): string[] => {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  };
  for (const hierarchy of ['', ...foldersIn(root)]) {
    const plugins = foldersIn(join(root, hierarchy)).filter((name) =>
      clusters.some((cluster) => name.startsWith(`pintle-${cluster}-`)),
    );
    for (const name of [...containers.map((id) => join('docker', id)), ...plugins])
      try {
        rmdirSync(join(root, hierarchy, name));
      } catch {} // not there, in this hierarchy or at all
  }
}

/** What engines and kubelets had mounted, deepest first. */
async function unmountBelow(folders: readonly string[]): Promise<void> {
  const points = (await Bun.file('/proc/self/mounts').text())
    .split('\n')
    .map((line) => (line.split(' ')[1] ?? '').replace(/\\040/g, ' '))
    .filter((point) => folders.some((folder) => point.startsWith(`${folder}/`)))
    .sort((a, b) => b.length - a.length);
  if (points.length > 0) await systemExec.run(['umount', '-l', ...points]);
}
