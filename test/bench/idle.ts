import { readFileSync } from 'node:fs';
import { runningHomes } from '../../core/cmd/processes.ts';
import { benchCluster, benchEngine } from './parts/cluster.ts';
import { type BenchOptions, type Row, valueRow } from './parts/row.ts';

/**
 * Figures `idle`: a fresh one-host cluster left alone for a while; all of its processes, the engine not counted.
 * Memory is the proportional set size; `if-alone` adds to the private pages every shared file once, for a machine on
 * which other programs run on the same Bun and so make the proportional size look smaller.
 */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  await using engine = await benchEngine();
  await using cluster = await benchCluster(engine);
  await Bun.sleep(options.smoke ? 1_000 : 30_000);
  const pids = (runningHomes().get(cluster.home.folder) ?? []).map(({ pid }) => pid);
  const before = pids.map(cpuMs);
  const beganMs = performance.now();
  await Bun.sleep(options.smoke ? 2_000 : 60_000);
  const tookMs = performance.now() - beganMs;
  const usedMs = pids.map((pid, index) => cpuMs(pid) - before[index]!);
  const total = (numbers: readonly number[]) => numbers.reduce((sum, each) => sum + each, 0);
  const names = pids.map(nameOf);
  const sizes = pids.map(proportionalMb);
  yield valueRow('idle.memory', total(sizes), 'MB', '<= 150');
  yield valueRow('idle.memory.if-alone', ifAloneMb(pids), 'MB');
  for (const [index, name] of names.entries()) yield valueRow(`idle.memory.${name}`, sizes[index]!, 'MB');
  yield valueRow('idle.cpu', (100 * total(usedMs)) / tookMs, '% of one core', '<= 1');
  for (const [index, name] of names.entries())
    yield valueRow(`idle.cpu.${name}`, (100 * usedMs[index]!) / tookMs, '% of one core');
}

/** All threads of the process, from the scheduler's own count (ticks of 10 ms are too coarse here). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10; // user and system, 100 ticks a second
}

const kilobytes = (text: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
const proportionalMb = (pid: number): number =>
  kilobytes(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'), 'Pss') / 1024;

function ifAloneMb(pids: readonly number[]): number {
  let privateKb = 0;
  const files = new Map<string, number>();
  for (const pid of pids) {
    const own = new Map<string, number>();
    for (const part of readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
      const file = /^\S+ \S+ (\S+ \S+ [1-9]\d*) +\//.exec(part)?.[1];
      privateKb += kilobytes(part, 'Private_Clean') + kilobytes(part, 'Private_Dirty');
      if (file) own.set(file, (own.get(file) ?? 0) + kilobytes(part, 'Shared_Clean') + kilobytes(part, 'Shared_Dirty'));
    }
    for (const [file, size] of own) files.set(file, Math.max(files.get(file) ?? 0, size));
  }
  return (privateKb + [...files.values()].reduce((sum, each) => sum + each, 0)) / 1024;
}

function nameOf(pid: number): string {
  const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const at = argv.indexOf('component');
  return at < 0 ? 'supervisor' : argv[at + 1]!;
}
