import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { end, programsOf, waitUntil } from './processes.ts';

test('programs that a killed node left are found by their folder, and nobody else’s are', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pintle-processes-'));
  const file = join(folder, 'x');
  writeFileSync(file, '');
  const left = Bun.spawn(['setsid', 'tail', '-f', file], { stdout: 'ignore' });
  const reader = Bun.spawn(['tail', '-f', file], { stdout: 'ignore' });
  expect(await waitUntil(() => programsOf(folder).length > 0, 20_000)).toBe(true);
  expect(programsOf(folder).map(({ pid }) => pid)).toEqual([left.pid]);
  expect(programsOf(`${folder}-other`)).toEqual([]);
  await end(programsOf(folder), 5_000);
  await left.exited;
  expect(programsOf(folder)).toEqual([]);
  expect(reader.exitCode).toBeNull();
  reader.kill();
  await reader.exited;
  rmSync(folder, { recursive: true });
});
