import { readdirSync, readFileSync } from 'node:fs';

const tickNs = 10_000_000; // USER_HZ is 100 on every Linux that we run on
const pageBytes = 4096;

/** CPU time and resident memory of process groups, by their leaders, in one walk over /proc. */
export function groupUsage(): Map<number, { cpuUsageNs: number; memoryBytes: number }> {
  const groups = new Map<number, { cpuUsageNs: number; memoryBytes: number }>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const group = Number(fields[2]);
      const sum = groups.get(group) ?? { cpuUsageNs: 0, memoryBytes: 0 };
      sum.cpuUsageNs += (Number(fields[11]) + Number(fields[12])) * tickNs; // user and system
      sum.memoryBytes += Number(fields[21]) * pageBytes;
      groups.set(group, sum);
    } catch {} // ended meanwhile
  }
  return groups;
}
