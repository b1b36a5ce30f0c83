import { expect, test } from 'bun:test';
import { afterUpgrade } from './probation.ts';

const upgrade = { fallback: { version: '1.0.0', digest: 'sha256:a' }, untilMs: 1_000 };
const fine = { phase: 'Active', message: '', hangs: 0 } as const;
test.each<[string, Parameters<typeof afterUpgrade>[1], number, [number, number], string]>([
  ['runs', fine, 999, [0, 0], 'watch'],
  ['ran for the whole time', fine, 1_000, [0, 0], 'passed'],
  ['was given up', { ...fine, phase: 'Quarantined', message: 'x' }, 5, [0, 0], 'rollback'],
  ['hung', { ...fine, hangs: 1 }, 5, [0, 0], 'rollback'],
  ['is restarted', { ...fine, phase: 'Backoff' }, 5, [0, 0], 'watch'],
  ['has slow hooks', fine, 5, [100, 6], 'rollback'],
  ['has a slow hook now and then', fine, 5, [100, 5], 'watch'],
  ['was called too rarely to tell', fine, 5, [2, 2], 'watch'],
])('a newer version that %s', (_what, state, nowMs, [calls, timeouts], type) =>
  expect(afterUpgrade(upgrade, state, nowMs, { calls, timeouts }).type).toBe(type as 'watch'),
);
