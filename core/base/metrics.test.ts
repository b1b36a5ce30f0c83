import { expect, test } from 'bun:test';
import { Counter, Gauge, Histogram, labelSetsMax, metricsText } from './metrics.ts';
import { MetricsPage } from './metrics-page.ts';

test('the text format: help, type, labels that need escaping, buckets that add up', () => {
  const requests = new Counter('requests_total', 'Requests.', ['verb', 'path']);
  requests.add(['GET', 'a"b\\c\n']);
  requests.add(['GET', 'a"b\\c\n'], 2);
  const depth = new Gauge('depth', 'Depth.', []);
  depth.set([], 7);
  const seconds = new Histogram('seconds', 'Seconds.', ['verb'], [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 3]) seconds.observe(['GET'], value);
  expect(metricsText([requests, depth, seconds])).toBe(
    [
      '# HELP requests_total Requests.',
      '# TYPE requests_total counter',
      'requests_total{verb="GET",path="a\\"b\\\\c\\n"} 3',
      '# HELP depth Depth.',
      '# TYPE depth gauge',
      'depth 7',
      '# HELP seconds Seconds.',
      '# TYPE seconds histogram',
      'seconds_bucket{verb="GET",le="0.1"} 2',
      'seconds_bucket{verb="GET",le="1"} 3',
      'seconds_bucket{verb="GET",le="+Inf"} 4',
      'seconds_sum{verb="GET"} 3.65',
      'seconds_count{verb="GET"} 4',
      '',
    ].join('\n'),
  );
});

test('label sets are bounded', () => {
  const counter = new Counter('c', 'C.', ['who']);
  for (let index = 0; index < labelSetsMax + 10; index++) counter.add([`w${index}`]);
  expect(metricsText([counter])).toContain('c{who="other"} 10');
});

test('a page carries the text of a process that works for this one', () => {
  const page = new MetricsPage(0);
  page.counter('own_total', 'Own.').add();
  page.foreign(() => 'foreign_total 3\n');
  page.foreign(() => '');
  expect(page.text()).toMatch(/^own_total 1$/m);
  expect(page.text().endsWith('\nforeign_total 3\n')).toBe(true);
});
