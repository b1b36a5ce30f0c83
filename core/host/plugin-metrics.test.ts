import { expect, test } from 'bun:test';
import { exposition, PluginMetrics, seriesMax } from './plugin-metrics.ts';

const textOf = (metrics: PluginMetrics) =>
  exposition([{ name: 'cron', facts: metrics.facts(), values: metrics.values() }]);

test('as Prometheus reads them', () => {
  const metrics = new PluginMetrics();
  metrics.counter('runs_total', 'Runs, "all"\nof them').inc(2);
  const held = metrics.gauge('held', 'Held.', ['what']);
  held.set(3, { what: 'a"b' });
  held.set(1, {});
  metrics.counter('never_total', 'None yet.', ['why']);
  expect(textOf(metrics)).toBe(`# HELP runs_total Runs, "all"\\nof them
# TYPE runs_total counter
runs_total{plugin="cron"} 2
# HELP held Held.
# TYPE held gauge
held{plugin="cron",what="a\\"b"} 3
held{plugin="cron",what=""} 1
`);
});

test('labels that were not declared and series too many are dropped and counted', () => {
  const metrics = new PluginMetrics();
  const each = metrics.counter('each_total', 'Each.', ['id']);
  for (let id = 0; id < seriesMax + 5; id++) each.inc(1, { id: String(id) });
  each.inc(1, { id: '1', user: 'x' });
  const text = textOf(metrics);
  expect(text.match(/^each_total/gm)?.length).toBe(seriesMax);
  expect(text).toContain('plugin_metrics_dropped_total{plugin="cron"} 6');
});

test.each([
  ['a name that is not declared', { other: [['[]', 1]] }],
  ['no list', { runs: 5 }],
  ['too many labels', { runs: [['["a"]', 1]] }],
  ['no number', { runs: [['[]', 'x']] }],
  ['no labels', { runs: [['}', 1]] }],
  ['nothing', { runs: [null] }],
])('what a plugin sends is not believed: %s', (_what, values) => {
  const facts = [{ name: 'runs', type: 'counter', help: '', labels: [] } as const];
  expect(exposition([{ name: 'p', facts, values: values as never }])).toBe(
    '# HELP plugin_metrics_dropped_total Series that were not kept.\n# TYPE plugin_metrics_dropped_total counter\nplugin_metrics_dropped_total{plugin="p"} 1\n',
  );
});

test.each([
  ['a name that is none', () => new PluginMetrics().counter('a-b', '')],
  ["a label that is the host's", () => new PluginMetrics().counter('a', '', ['plugin'])],
  [
    'another type',
    () => {
      const metrics = new PluginMetrics();
      metrics.counter('a', '');
      metrics.gauge('a', '');
    },
  ],
])('%s is refused', (_what, register) => expect(register).toThrow('metrics: '));

test("reconciles that took too long are the host's own count", () => {
  const text = exposition([
    { name: 'cron', facts: [], values: {}, late: 3 },
    { name: 'fine', facts: [], values: {}, late: 0 },
  ]);
  expect(text).toContain('plugin_reconcile_deadlines_total{plugin="cron"} 3\n');
  expect(text).not.toContain('fine');
});
