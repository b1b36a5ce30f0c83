import { expect, test } from 'bun:test';
import { durationText } from './duration.ts';

test.each([
  [0, '0s'],
  [0.4, '0s'],
  [120, '120ms'],
  [999.6, '1s'],
  [1234, '1.234s'],
  [10_000, '10s'],
  [59_999.7, '1m0s'],
  [80_000, '1m20s'],
  [60_500, '1m0.5s'],
  [300_000, '5m0s'],
  [7_200_500, '2h0m0.5s'],
])('%d is %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});
