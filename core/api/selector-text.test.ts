import { expect, test } from 'bun:test';
import { parseFieldSelector, parseLabelSelector } from './selectors.ts';

test.each([
  ['', []],
  ['a', [['a', 'exists', []]]],
  ['!a', [['a', '!', []]]],
  [
    'a=b,c!=d',
    [
      ['a', 'in', ['b']],
      ['c', 'notin', ['d']],
    ],
  ],
  ['a==b', [['a', 'in', ['b']]]],
  ['a=', [['a', 'in', ['']]]],
  [
    'a=,b',
    [
      ['a', 'in', ['']],
      ['b', 'exists', []],
    ],
  ],
  [
    'a in (b, c),d notin (e)',
    [
      ['a', 'in', ['b', 'c']],
      ['d', 'notin', ['e']],
    ],
  ],
  ['a in ()', [['a', 'in', ['']]]],
  ['a in (b,)', [['a', 'in', ['b', '']]]],
  ['in=in', [['in', 'in', ['in']]]],
  [
    'a>1,b<2',
    [
      ['a', 'gt', ['1']],
      ['b', 'lt', ['2']],
    ],
  ],
  ['example.com/a = b', [['example.com/a', 'in', ['b']]]],
])('label selector %p', (text, expected) => {
  expect(parseLabelSelector(text).map(({ key, operator, values }) => [key, operator, values])).toEqual(
    expected as never,
  );
});

// The words are upstream's (test/differential/requests/reads.ts asks for them).
test.each([
  [',', "found ',', expected: !, identifier, or 'end of string'"],
  ['a,', "found '', expected: identifier after ','"],
  ['a in ', "unable to parse requirement: found '' expected: '('"],
  ['bad key x', "unable to parse requirement: found 'key', expected: in, notin, =, ==, !=, gt, lt"],
  ['l=bad value', "found 'value', expected: ',' or 'end of string'"],
  [
    'a>x',
    "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
  ],
])('label selector %p is refused', (text, message) => {
  expect(() => parseLabelSelector(text)).toThrow(message);
});

test('field selectors unescape their values', () => {
  expect(parseFieldSelector('a=b\\,c,d!=e')).toEqual([
    { key: 'a', operator: 'in', values: ['b,c'] },
    { key: 'd', operator: 'notin', values: ['e'] },
  ]);
  expect(parseFieldSelector('=a')[0]!.key).toBe('');
  expect(() => parseFieldSelector('a=b\\')).toThrow('invalid field selector: invalid escape sequence: \\');
  expect(() => parseFieldSelector('a')).toThrow("invalid selector: 'a'; can't understand 'a'");
});
