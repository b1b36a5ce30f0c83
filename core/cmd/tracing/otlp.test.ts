import { expect, test } from 'bun:test';
import { createLog, silentLog } from '#base';
import { eventually } from '../../../test/fixtures/eventually.ts';
import { OtlpCollector, treeOf } from '../../../test/fixtures/otlp-collector.ts';
import { openOtlp, traceIdOf, urlOf } from './otlp.ts';
import { otlpFlag } from './tracing.ts';

const uid = '0b6f1f2e-1c7a-4f6b-9d5e-2a3b4c5d6e7f';
const own = { service: 'node', clusterId: 'c', nodeName: 'n1', log: silentLog, delayMs: 10 };
const step = (name: 'pod.create' | 'pod.start' | 'pod.sandbox', more: object = {}) => ({
  uid,
  name,
  fromMs: 1_700_000_000_000,
  untilMs: 1_700_000_000_250,
  ...more,
});

test('a pod’s uid is its trace, and steps of several processes find their parents', async () => {
  using collector = new OtlpCollector();
  {
    await using api = openOtlp({ ...own, endpoint: collector.endpoint, service: 'apiserver' });
    await using node = openOtlp({ ...own, endpoint: collector.endpoint });
    node.of('kubelet').step(step('pod.sandbox', { of: '1', error: 'no network' }));
    node.of('kubelet').step(step('pod.start'));
    const causedBy = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    api.of('apiserver').step(step('pod.create', { causedBy, facts: { 'k8s.pod.name': 'web' } }));
  } // what waits is sent at the end
  const { spans } = collector;
  expect(treeOf(spans)).toEqual(['pod.create', 'pod.sandbox < pod.start', 'pod.start < pod.create']);
  expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([uid.replaceAll('-', '')]));
  const [create, sandbox] = ['pod.create', 'pod.sandbox'].map((name) => spans.find((one) => one.name === name)!);
  expect(create).toMatchObject({ service: 'apiserver', component: 'apiserver' });
  expect(create!.links).toMatchObject([{ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }]);
  expect(create!.startTimeUnixNano).toBe('1700000000000000000');
  expect(create!.endTimeUnixNano).toBe('1700000000250000000');
  expect(sandbox).toMatchObject({ component: 'kubelet', status: { code: 2, message: 'no network' } });
});

test('a collector that is away costs nobody: steps are dropped beyond a bound, and it is told of once', async () => {
  const lines: { level: string; message: string }[] = [];
  const log = createLog((line) => lines.push(JSON.parse(line)), { now: Date.now, level: 'info' });
  const once = new OtlpCollector();
  const { port } = once;
  once[Symbol.dispose]();
  await using tracing = openOtlp({ ...own, log, endpoint: `http://name:secret@127.0.0.1:${port}`, timeoutMs: 100 });
  const tracer = tracing.of('kubelet');
  for (let index = 0; index < 10_000; index++) tracer.step(step('pod.sandbox', { of: `${index}` }));
  await eventually(
    async () => lines.length,
    (count) => count > 0,
  );
  tracer.step(step('pod.start'));
  await Bun.sleep(0);
  expect(lines.map(({ level }) => level)).toEqual(['warn']);
  expect(JSON.stringify(lines)).not.toContain('secret');
  using back = new OtlpCollector(port);
  await eventually(
    async () => {
      tracer.step(step('pod.start'));
      await Bun.sleep(20);
      return back.spans.length;
    },
    (count) => count > 0,
  );
  await eventually(
    async () => lines.map(({ level }) => level).join(),
    (levels) => levels === 'warn,info',
  );
});

test.each([
  ['http://127.0.0.1:4318', 'http://127.0.0.1:4318/v1/traces'],
  ['https://collector.example/otlp/', 'https://collector.example/otlp/v1/traces'],
  ['http://127.0.0.1:4318/v1/traces', 'http://127.0.0.1:4318/v1/traces'],
])('%s is asked at %s', (endpoint, url) => expect(urlOf(endpoint)).toBe(url));

test('what people say: a flag before the environment, none takes it back, anything else is refused', () => {
  expect(otlpFlag(undefined, undefined)).toBeUndefined();
  expect(otlpFlag(undefined, '')).toBeUndefined();
  expect(otlpFlag(undefined, 'http://a:4318')).toBe('http://a:4318');
  expect(otlpFlag('none', 'http://a:4318')).toBe('none');
  for (const bad of ['collector:4318', 'ftp://a', ''])
    expect(() => otlpFlag(bad, undefined)).toThrow('no address of a collector');
  expect(() => otlpFlag(undefined, 'nonsense')).toThrow('OTEL_EXPORTER_OTLP_ENDPOINT');
});

test('a uid that is no UUID has a trace as well', () => {
  expect(traceIdOf(uid)).toBe(uid.replaceAll('-', ''));
  expect(traceIdOf('made-by-a-tool')).toMatch(/^[0-9a-f]{32}$/);
});
