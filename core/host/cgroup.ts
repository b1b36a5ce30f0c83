import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Files } from '#base';

export interface Cgroup {
  /** A process that writes itself here is in. */
  readonly joins: readonly string[];
  readonly facts: readonly string[];
  memoryBytes(): Promise<number | undefined>;
}
export interface CgroupLimits {
  readonly memoryBytes: number;
  readonly processesMax: number;
}
const base = '/sys/fs/cgroup';

/** A group with limits in whichever hierarchy this host has. Throws when there is none that can be written. */
export async function prepareCgroup(files: Files, name: string, limits: CgroupLimits): Promise<Cgroup> {
  const unified = await files.readFile(join(base, 'cgroup.controllers'), 'utf8').catch(() => undefined);
  const write = (folder: string, file: string, value: number): Promise<void> =>
    files.writeFile(join(folder, file), String(value));
  if (unified !== undefined) {
    await files.writeFile(join(base, 'cgroup.subtree_control'), '+memory +pids').catch(() => {}); // they may be on already
    const folder = join(base, name);
    await files.mkdir(folder, { recursive: true });
    await write(folder, 'memory.max', limits.memoryBytes);
    await write(folder, 'pids.max', limits.processesMax);
    return groupOf('v2', [folder], join(folder, 'memory.current'), files, limits);
  }
  const [memory, pids] = [join(base, 'memory', name), join(base, 'pids', name)];
  for (const folder of [memory, pids]) await files.mkdir(folder, { recursive: true });
  await write(memory, 'memory.limit_in_bytes', limits.memoryBytes);
  await write(pids, 'pids.max', limits.processesMax);
  return groupOf('v1', [memory, pids], join(memory, 'memory.usage_in_bytes'), files, limits);
}

const groupOf = (
  version: string,
  folders: readonly string[],
  usage: string,
  files: Files,
  limits: CgroupLimits,
): Cgroup => ({
  joins: folders.map((folder) => join(folder, 'cgroup.procs')),
  facts: [`memory ${limits.memoryBytes / 1024 / 1024} MiB and ${limits.processesMax} tasks (cgroup ${version})`],
  async memoryBytes() {
    const text = await files.readFile(usage, 'utf8').catch(() => '');
    return text === '' ? undefined : Number(text);
  },
});

const endMsMax = 20_000; // a machine that is busy takes its time to end what was killed
/** Ends what is left in the group (children that outlived the plugin), and takes it away. */
export async function removeCgroup(files: Files, clock: Clock, name: string): Promise<void> {
  const beganMs = clock.monotonicMs();
  while (clock.monotonicMs() - beganMs < endMsMax) {
    const pids = await Promise.all(
      ['', 'pids'].map((hierarchy) =>
        files.readFile(join(base, hierarchy, name, 'cgroup.procs'), 'utf8').catch(() => ''),
      ),
    );
    const left = pids.flatMap((text) => text.split('\n')).filter((pid) => /^[1-9]\d*$/.test(pid));
    if (left.length === 0) break;
    for (const pid of left)
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {} // it has gone meanwhile
    await clock.sleep(10);
  }
  for (const hierarchy of ['', 'memory', 'pids']) await rmdir(join(base, hierarchy, name)).catch(() => {});
}
