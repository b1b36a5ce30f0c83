import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** A process and the moment it started, so that a reused pid is never mistaken for it. */
export interface ProcessRecord {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat. */
  readonly startTicks: string;
}

export function recordOf(pid: number): ProcessRecord | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name may hold blanks and parentheses
    if (fields[0] === 'Z') return undefined;
    return { pid, startTicks: fields[19]! };
  } catch {
    return undefined;
  }
}

export function isAlive(record: ProcessRecord | undefined): boolean {
  return record !== undefined && recordOf(record.pid)?.startTicks === record.startTicks;
}

/** Sends a signal only when the process is still the one that was recorded. */
export function signal(record: ProcessRecord, name: NodeJS.Signals): void {
  if (!isAlive(record)) return;
  try {
    process.kill(record.pid, name);
  } catch {}
}

/** Asks all to end, waits up to `graceMs`, then kills. */
export async function end(records: readonly ProcessRecord[], graceMs: number): Promise<void> {
  for (const record of records) signal(record, 'SIGTERM');
  if (await waitUntil(() => !records.some(isAlive), graceMs)) return;
  for (const record of records) signal(record, 'SIGKILL');
  await waitUntil(() => !records.some(isAlive), 5_000);
}

/** Polls a cheap local condition; true when it held in time. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  limitMs: number,
  everyMs = 10,
): Promise<boolean> {
  const until = performance.now() + limitMs;
  for (;;) {
    if (await condition()) return true;
    if (performance.now() > until) return false;
    await Bun.sleep(everyMs);
  }
}

/** Homes of every Pintle process on this machine, read from the arguments that each carries. */
export function runningHomes(): Map<string, ProcessRecord[]> {
  const homes = new Map<string, ProcessRecord[]>();
  if (!existsSync('/proc/self')) return homes;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const argv = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      if (!argv.some((part) => part.endsWith('plugins/standard/main.ts'))) continue;
      if (!argv.includes('component') && !argv.includes('supervise')) continue;
      const home = argv[argv.indexOf('--home') + 1];
      const record = recordOf(Number(name));
      if (argv.includes('--home') && home && record) homes.set(home, [...(homes.get(home) ?? []), record]);
    } catch {}
  }
  return homes;
}

/**
 * Programs that were started with a file below this folder, each at the head of a session of its own without a terminal: those of a
 * node's parts that outlive its crash on purpose, and nobody's editor.
 */
export function programsOf(folder: string): ProcessRecord[] {
  if (!existsSync('/proc/self')) return [];
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      if (!words.some((word) => word.startsWith(`${folder}/`))) return [];
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const [, , , session, terminal] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const record = session === name && terminal === '0' ? recordOf(Number(name)) : undefined;
      return record ? [record] : [];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}
