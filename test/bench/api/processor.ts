import { readFileSync } from 'node:fs';
import { interleave, type Row, ratioRow } from '../parts/row.ts';
import type { LoadResult, Target } from './load.ts';

/** Several processes: a server and its store. */
export type Server = Target & { readonly pid: number | readonly number[] };

/** All threads of the processes, in ticks of 10 ms. */
function ticks(pid: number | readonly number[]): number {
  if (typeof pid !== 'number') return pid.reduce((sum, each) => sum + ticks(each), 0);
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/**
 * Processor time of the server for one request, as the rate that one core would give: on a machine that is shared, rates
 * tell who got the processor, and this tells what was done with it.
 */
export async function perCoreRow(
  name: string,
  pairs: number,
  work: (target: Target) => Promise<LoadResult>,
  server: Server,
  bare: Server,
  limitMs?: number,
): Promise<Row> {
  const measure = (target: Server) => async () => {
    const before = ticks(target.pid);
    const { count } = await work(target);
    return count / Math.max(0.01, (ticks(target.pid) - before) / 100);
  };
  return ratioRow(
    `${name}.per-core`,
    'a core-second',
    await interleave(pairs, measure(server), measure(bare), limitMs),
  );
}
