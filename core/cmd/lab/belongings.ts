import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { recordOf } from '../processes.ts';

/** A process as /proc shows it. */
export interface ProcessFacts {
  readonly pid: number;
  readonly startTicks: string;
  readonly parent: number;
  readonly argv: readonly string[];
  /** Inode of its network namespace. */
  readonly netns: number;
  /** Paths of /proc/PID/cgroup, as one text. */
  readonly cgroups: string;
}
/** How processes of a lab host are told from all others. */
export interface HostMarks {
  /** The host's home folder. */
  readonly folder: string;
  readonly netns?: number;
  /** Of its engine, 64 hex digits each. */
  readonly containers: readonly string[];
}

/**
 * Everything that runs on a lab host: what is in its namespace, what names its home folder, what is in a container of its
 * engine, and what these have started. Pure. Never `self`, who may have been started from inside.
 */
export function belongings(all: readonly ProcessFacts[], marks: readonly HostMarks[], self: number): ProcessFacts[] {
  const containers = new Set(marks.flatMap((one) => one.containers));
  const netns = new Set(marks.map((one) => one.netns));
  netns.delete(undefined);
  const inContainer = ({ cgroups }: ProcessFacts) =>
    [...cgroups.matchAll(/[0-9a-f]{64}/g)].some(([id]) => containers.has(id));
  const namesHome = ({ argv }: ProcessFacts) =>
    isOurs(argv) && marks.some(({ folder }) => argv.some((word) => word === folder || word.includes(`${folder}/`)));
  const found = new Set(all.filter((one) => netns.has(one.netns) || inContainer(one) || namesHome(one)));
  const spared = ancestorsOf(all, self);
  for (let grew = true; grew; ) {
    const pids = new Set([...found].map(({ pid }) => pid));
    const children = all.filter((one) => pids.has(one.parent) && !found.has(one));
    for (const one of children) found.add(one);
    grew = children.length > 0;
  }
  return [...found].filter(({ pid }) => pid > 1 && !spared.has(pid));
}

/** Programs that a host's start leads to; a person's `tail -f` of a log in the home is none. */
const isOurs = (argv: readonly string[]): boolean =>
  /(^|\/)(dockerd|containerd(-shim[\w-]*)?)$/.test(argv[0] ?? '') ||
  (argv.includes('--home') && argv.some((word) => word === 'component' || word === 'supervise'));

/** A person may call `lab down --home X` in a shell that `lab exec` opened: the way to us is not cut off. */
function ancestorsOf(all: readonly ProcessFacts[], self: number): Set<number> {
  const parents = new Map(all.map(({ pid, parent }) => [pid, parent]));
  const spared = new Set<number>();
  for (let at: number | undefined = self; at !== undefined && !spared.has(at); at = parents.get(at)) spared.add(at);
  return spared;
}

/** All processes of the machine; those that end while we look are left out. */
export function allProcesses(): ProcessFacts[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const record = recordOf(Number(name));
    if (!record) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      return [
        {
          ...record,
          parent: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]),
          argv: readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0'),
          netns: Number(/\d+/.exec(readlinkSync(`/proc/${name}/ns/net`))?.[0]),
          cgroups: readFileSync(`/proc/${name}/cgroup`, 'utf8'),
        },
      ];
    } catch {
      return [];
    }
  });
}
