import { expect, test } from 'bun:test';
import { benches } from '../../core/cmd/bench.ts';
import { skipped } from '../fixtures/skipped.ts';
import { type BenchOptions, type Row, Skip } from './parts/row.ts';

/** Every benchmark works, quickly and with figures that mean nothing: the rows have their form, nothing is judged. */
for (const name of Object.keys(benches))
  test(`bench ${name}`, async () => {
    const module = (await import(`./${name}.ts`)) as { run(options: BenchOptions): AsyncIterable<Row> };
    const rows: Row[] = [];
    try {
      for await (const row of module.run({ smoke: true })) rows.push(row);
    } catch (error) {
      if (!(error instanceof Skip)) throw error;
      return skipped('bench', name, error.message);
    }
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) {
      expect(row).toMatchObject({ name: expect.stringMatching(/^[a-z0-9.-]+$/), unit: expect.any(String) });
      expect(Number.isFinite(row.value)).toBe(true);
      if (row.target === undefined) expect(row.ok).toBeUndefined();
      else {
        expect(row.target).toMatch(/^[<>]= [\d.]+$/);
        expect(row.judge).toMatch(/^(ratio|value)$/);
        expect(typeof row.ok).toBe('boolean');
      }
    }
  }, 120_000);
