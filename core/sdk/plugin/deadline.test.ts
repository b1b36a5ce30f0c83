import { expect, test } from 'bun:test';
import { type Clock, systemClock } from '#base';
import { rejection } from '../../../test/fixtures/rejection.ts';
import { Deadlines } from './deadline.ts';

/** Sleeps end when the test says so. */
function steered(): { readonly clock: Clock; pass(): void } {
  let passed: (() => void) | undefined;
  const sleep = (_ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      passed = resolve;
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  return { clock: { ...systemClock, sleep }, pass: () => passed?.() };
}
const running = new AbortController().signal;

test('what returns in time is nobody’s business', async () => {
  const deadlines = new Deadlines();
  const { clock } = steered();
  expect(await deadlines.run('a x', clock, running, async () => 7)).toBe(7);
  const failing = deadlines.run('a x', clock, running, () => Promise.reject(new Error('no')));
  expect((await rejection(failing)).message).toBe('no');
  expect(deadlines.report()).toEqual({ total: 0, objects: [] });
});

test('after 60 s its signal aborts, it is counted, and its object waits until it has returned', async () => {
  const deadlines = new Deadlines();
  const { clock, pass } = steered();
  const hanging = Promise.withResolvers<void>();
  let aborted: unknown;
  const first = deadlines.run('a x', clock, running, async (signal) => {
    signal.addEventListener('abort', () => (aborted = signal.reason));
    await hanging.promise;
  });
  pass();
  const message = 'it did not return within its deadline of 60 s';
  expect((await rejection(first)).message).toBe(message);
  expect(String(aborted)).toContain(message);
  expect(deadlines.report()).toEqual({ total: 1, objects: ['a x'] });
  const again = () => deadlines.run('a x', clock, running, async () => 1);
  expect((await rejection(again())).message).toContain('has not returned');
  expect(await deadlines.run('a y', clock, running, async () => 2)).toBe(2); // others go on
  hanging.resolve();
  await hanging.promise;
  await Bun.sleep(0);
  expect(await again()).toBe(1);
  expect(deadlines.report()).toEqual({ total: 1, objects: [] });
});

test('the end of everything aborts at once and counts as nothing late', async () => {
  const outer = new AbortController();
  const deadlines = new Deadlines();
  const ending = deadlines.run(
    'a x',
    steered().clock,
    outer.signal,
    (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('ended')))),
  );
  outer.abort();
  expect((await rejection(ending)).message).toBe('ended');
  expect(deadlines.report().total).toBe(0);
});
