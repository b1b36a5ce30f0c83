import { expect, test } from 'bun:test';
import { TestReport } from './test-report.ts';

const output = `bun test v1.4.5

test/a.test.ts:
(pass) one [1.00ms]
said by two
error: expected 1
\x1b[31m(fail)\x1b[0m two > inner [2.00ms]

./test/e2e/b.e2e.ts:
(fail) three [3.00ms]

2 tests failed:
(fail) two > inner [2.00ms]
(fail) three [3.00ms]

 1 pass
 1 skip
 2 fail
 9 expect() calls
`;

test('counts and failures are read, with the lines before each and its file', () => {
  const report = new TestReport();
  for (const part of output.match(/[\s\S]{1,7}/g) ?? []) report.feed(part);
  report.end(1);
  expect(report.counts).toEqual({ passed: 1, failed: 2, skipped: 1 });
  expect(report.failures).toEqual([
    { file: 'test/a.test.ts', test: 'two > inner [2.00ms]', lines: ['said by two', 'error: expected 1'] },
    { file: './test/e2e/b.e2e.ts', test: 'three [3.00ms]', lines: [] },
  ]);
});

test('a run that printed no counts and ended badly has failed', () => {
  const report = new TestReport();
  report.feed('panic: out of memory');
  report.end(134);
  expect(report.counts).toEqual({ passed: 0, failed: 1, skipped: 0 });
  expect(report.failures[0]).toEqual({
    file: '',
    test: 'the run ended with code 134',
    lines: ['panic: out of memory'],
  });
});
