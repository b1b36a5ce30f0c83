import { readFileSync, writeFileSync } from 'node:fs';

/**
 * The lowest oom_score_adj that a process may be given here. Without CAP_SYS_RESOURCE nothing may be lowered, and a
 * container that asks for it dies at its start; so it is tried once on this process and put back.
 */
export function probeOomScoreFloor(path = '/proc/self/oom_score_adj'): number {
  try {
    const current = Number(readFileSync(path, 'utf8'));
    writeFileSync(path, String(Math.max(-1000, current - 1)));
    writeFileSync(path, String(current));
    return -1000;
  } catch {
    return 0;
  }
}
