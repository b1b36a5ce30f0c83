import { expect, test } from 'bun:test';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, recordOf } from '../../../core/cmd/processes.ts';
import { until } from './row.ts';

test('what a benchmark started ends when the benchmark is killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-leash-'));
  const server = Bun.spawn(['sleep', '600']);
  const record = recordOf(server.pid)!;
  const script = `
    import { leash } from ${JSON.stringify(join(import.meta.dir, 'leash.ts'))};
    leash(${JSON.stringify(record)}, ${JSON.stringify(folder)});
    console.log('ready');
    await Bun.sleep(600_000);`;
  const bench = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe' });
  try {
    for await (const _ of bench.stdout) break;
    bench.kill('SIGKILL');
    await bench.exited;
    await until('the server ends', () => !isAlive(record) && !existsSync(folder), 30_000);
  } finally {
    server.kill('SIGKILL');
    await server.exited;
  }
  expect(existsSync(folder)).toBe(false);
}, 60_000);
