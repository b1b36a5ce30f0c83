import { readFileSync } from 'node:fs';

/** Proportional set size in KB. */
export const proportionalKb = (pid: number): number =>
  Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);

const lookEveryMs = 1_000;
const looks = 12;

/** The size that a process falls back to when it is left alone for some seconds: what its collector had not taken yet is not counted. */
export async function settledKb(pid: number, smoke = false): Promise<number> {
  let least = proportionalKb(pid);
  for (let look = 0; look < (smoke ? 1 : looks); look++) {
    await Bun.sleep(smoke ? 100 : lookEveryMs);
    least = Math.min(least, proportionalKb(pid));
  }
  return least;
}

const sampleEveryMs = 20;
/** The highest size that a process has while something runs. */
export async function highestKb(pid: number, work: () => Promise<unknown>): Promise<number> {
  let highest = proportionalKb(pid);
  const timer = setInterval(() => {
    highest = Math.max(highest, proportionalKb(pid));
  }, sampleEveryMs);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(highest, proportionalKb(pid));
}
