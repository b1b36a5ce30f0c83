import { expect, test } from 'bun:test';
import { errors } from '#api';
import { backOffMaxMs, nextWatch, startWatch, type WatchInput, type WatchState } from './watch.ts';

const live = (version: string, failures = 0): WatchState => ({ phase: 'live', version, failures });
const run = (state: WatchState, ...inputs: WatchInput[]) =>
  inputs.reduce((step, input) => nextWatch(step.state, input, 0.5), { state } as ReturnType<typeof nextWatch>);
const cut = { type: 'failed', error: errors.unavailable('cut') } as const;
const gone = { type: 'failed', error: errors.expired('too old') } as const;

test('starts with a list, and watches from its version', () => {
  expect(startWatch.next).toEqual({ type: 'list', afterMs: 0 });
  expect(run(startWatch.state, { type: 'listed', version: '7' }).next).toEqual({
    type: 'watch',
    since: '7',
    afterMs: 0,
  });
});
test('a cut watch resumes from the last version seen, not with a list', () => {
  const step = run(live('7'), { type: 'progress', version: '9' }, cut);
  expect(step.next).toEqual({ type: 'watch', since: '9', afterMs: 50 });
});
test('a watch that the server ends after a while resumes at once; a very short one waits', () => {
  expect(run(live('7'), { type: 'ended', livedMs: 300_000 }).next).toEqual({ type: 'watch', since: '7', afterMs: 0 });
  expect(run(live('7'), { type: 'ended', livedMs: 3 }).next?.afterMs).toBe(50);
});
test('410 lists again: at once the first time, then with back-off', () => {
  const first = run(live('7'), gone);
  expect(first.next).toEqual({ type: 'list', afterMs: 0 });
  const second = run(first.state, { type: 'listed', version: '8' }, gone);
  expect(second.next).toEqual({ type: 'list', afterMs: 50 });
});
test('failures back off to a bound, and progress forgets them', () => {
  const many = Array.from({ length: 30 }, () => cut);
  expect(run(live('7'), ...many).next?.afterMs).toBe(backOffMaxMs);
  expect(run(live('7'), ...many, { type: 'progress', version: '8' }, cut).next?.afterMs).toBe(50);
  expect(run({ phase: 'init', failures: 0 }, cut, cut).next).toEqual({ type: 'list', afterMs: 100 });
});
