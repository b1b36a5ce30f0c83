import { readFileSync, rmSync } from 'node:fs';
import { end, type ProcessRecord } from '../../../core/cmd/processes.ts';

/** A process that outlives the benchmark by a moment: when that ends, however it ends, it ends what was left and removes its folder. */
export function leash(record: ProcessRecord, folder: string): { release(): Promise<void> } {
  const child = Bun.spawn(
    [process.execPath, import.meta.path, JSON.stringify({ record, folder, parent: process.pid })],
    {
      stdin: 'pipe',
      stdout: 'ignore',
      stderr: 'inherit',
    },
  );
  return {
    async release() {
      child.kill('SIGKILL');
      await child.exited;
    },
  };
}

const lookEveryMs = 500;
/** Ends the calling process once the one that started it is gone. */
export function endWithParent(parent = process.ppid, before: () => Promise<void> = async () => {}): void {
  const timer = setInterval(async () => {
    if (parentOf() === parent) return;
    clearInterval(timer);
    await before();
    process.exit(1);
  }, lookEveryMs);
  timer.unref();
}
/** Read anew: Bun keeps the number that it saw first. */
function parentOf(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

if (import.meta.main) {
  const { record, folder, parent } = JSON.parse(process.argv[2]!) as {
    readonly record: ProcessRecord;
    readonly folder: string;
    readonly parent: number;
  };
  // A key that ends the benchmark is sent to this process too.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {});
  endWithParent(parent, async () => {
    await end([record], 5_000);
    rmSync(folder, { recursive: true, force: true });
  });
  setInterval(() => {}, 60_000); // stays
}
