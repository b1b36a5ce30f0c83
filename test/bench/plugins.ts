import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchOptions, type Row, Skip } from './parts/row.ts';

/** Parts of the figures `plugins`, in this order; each is a file beside this one whose `run()` yields rows. */
export const parts = ['plugins-host', 'plugins-tools', 'plugins-crd'] as const;

/** Figures `plugins`: hooks, isolation and reconciles of the host; life cycle and tools; custom resources. */
export async function* run(options: BenchOptions = {}): AsyncIterable<Row> {
  let missing = 0;
  for (const part of parts) {
    const file = join(import.meta.dir, `${part}.ts`);
    if (!existsSync(file)) {
      missing++;
      console.error(`skip: ${part} (not built yet)`);
      continue;
    }
    try {
      yield* ((await import(file)) as { run(options: BenchOptions): AsyncIterable<Row> }).run(options);
    } catch (error) {
      if (!(error instanceof Skip)) throw error;
      console.error(`skip: ${part} (${error.message})`);
    }
  }
  if (missing === parts.length) throw new Skip('none of its parts is built');
}
