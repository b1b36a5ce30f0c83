import { expect, test } from 'bun:test';
import { countOf, firstFree, holds, meets, parseSpan, spansOf } from './spans.ts';

test.each([
  ['192.0.2.0/30', 4n],
  ['192.0.2.10-192.0.2.20', 11n],
  ['192.0.2.7', 1n],
  ['fd00::/120', 256n],
  ['fd00::1 - fd00::2', 2n],
])('%s has %d addresses', (text, count) => expect(countOf(spansOf([text]))).toBe(count));

test.each([
  '',
  '192.0.2.1/30',
  '192.0.2.20-192.0.2.10',
  '192.0.2.1-fd00::1',
  '192.0.2.1-2',
  'a',
  '1.2.3.4-1.2.3.5-1.2.3.6',
  '010.0.0.1',
])('%j is no span', (text) => expect(parseSpan(text)).toBeUndefined());

test('the lowest free address, of the family that is asked for', () => {
  const spans = spansOf(['192.0.2.10-192.0.2.11', 'fd00::5', '192.0.2.1']);
  expect(firstFree(spans, 4, new Set())).toBe('192.0.2.1');
  expect(firstFree(spans, 4, new Set(['192.0.2.1', '192.0.2.10']))).toBe('192.0.2.11');
  expect(firstFree(spans, 4, new Set(['192.0.2.1', '192.0.2.10', '192.0.2.11']))).toBeUndefined();
  expect(firstFree(spans, 6, new Set())).toBe('fd00::5');
  expect([holds(spans, '192.0.2.11'), holds(spans, '192.0.2.12'), holds(spans, 'fd00::5'), holds(spans, 'x')]).toEqual([
    true,
    false,
    true,
    false,
  ]);
});

test('spans of two families never meet', () => {
  const span = (text: string) => parseSpan(text)!;
  expect(meets(span('0.0.0.1'), span('::1'))).toBe(false);
  expect(meets(span('192.0.2.0/24'), span('192.0.2.255-192.0.3.1'))).toBe(true);
});
