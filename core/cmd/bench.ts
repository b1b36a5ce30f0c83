import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PintleError } from '#base';

/** One figure. `target` is text such as `>= 0.7`; `judge` says whether the ratio or the value is held against it. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  readonly ratio?: number;
  readonly judge?: 'ratio' | 'value';
  readonly target?: string;
  readonly ok?: boolean;
}

const folder = join(import.meta.dir, '../../test/bench');

/** `bench NAME`: runs test/bench/NAME.ts, whose `run()` yields rows. Exit code 1 when a figure misses its target. */
export async function bench(name: string | undefined, options: { json?: boolean }): Promise<void> {
  const names = existsSync(folder)
    ? readdirSync(folder)
        .filter((file) => /^[a-z-]+\.ts$/.test(file))
        .map((file) => file.slice(0, -3))
        .sort()
    : [];
  if (name !== undefined && !names.includes(name))
    throw new PintleError('UNKNOWN_BENCH', `there is no benchmark ${name}`, `name one of ${names.join(', ')}`);
  for (const one of name ? [name] : names) {
    const module = (await import(join(folder, `${one}.ts`))) as { run(): AsyncIterable<Row> };
    for await (const row of module.run()) {
      if (row.ok === false) process.exitCode = 1;
      process.stdout.write(options.json ? `${JSON.stringify(row)}\n` : `${rowText(row)}\n`);
    }
  }
  process.exit(process.exitCode ?? 0);
}

const rowText = (row: Row): string =>
  `${row.name.padEnd(40)}${String(Math.round(row.value * 100) / 100).padStart(12)} ${row.unit.padEnd(10)}${row.ratio === undefined ? '' : `× ${row.ratio.toFixed(2)} `}${row.target ? `${row.target} ${row.ok ? 'ok' : 'MISSED'}` : ''}`;
