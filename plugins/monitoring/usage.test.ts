import { expect, test } from 'bun:test';
import type { KubeObject, Pod } from '#sdk';
import { pageOf } from './state/family.ts';
import { podFamilies } from './state/pods.ts';
import { Summaries, type Summary } from './summaries.ts';
import { nodeMetrics, podMetrics } from './usage.ts';

const time = '2026-01-01T00:00:00Z';
const figures = (name: string, nanoCores?: number, windowMs = 15_040) => ({
  name,
  cpu: { time, ...(nanoCores !== undefined && { usageNanoCores: nanoCores, windowMs }) },
  memory: { workingSetBytes: 1025 },
});
const podWith = (phase: string, containers: readonly string[], more: object = {}) =>
  ({
    metadata: { name: 'p', namespace: 'n', uid: 'u', labels: { a: 'b' } },
    spec: { nodeName: 'h', containers: [{ name: 'c', resources: { requests: { cpu: '250m', memory: '1Ki' } } }] },
    status: { phase, containerStatuses: containers.map((name) => ({ name, state: { running: {} }, ready: true })) },
    ...more,
  }) as unknown as Pod & KubeObject;
const measured = (...containers: ReturnType<typeof figures>[]) => ({
  podRef: { name: 'p', namespace: 'n', uid: 'u' },
  containers,
});

test.each([
  ['a pod that runs', podWith('Running', ['c']), measured(figures('c', 5)), [['c', '5n', '2Ki']]],
  [
    'two containers',
    podWith('Running', ['c', 'd']),
    measured(figures('c', 0), figures('d', 1)),
    [
      ['c', '0n', '2Ki'],
      ['d', '1n', '2Ki'],
    ],
  ],
  ['one that is measured by half', podWith('Running', ['c', 'd']), measured(figures('c', 0)), undefined],
  ['one without a rate yet', podWith('Running', ['c']), measured(figures('c')), undefined],
  ['one that has ended', podWith('Succeeded', []), measured(), undefined],
  ['one that its node does not know', podWith('Running', ['c']), undefined, undefined],
])('what a pod uses: %s', (_, pod, given, wanted) => {
  const found = podMetrics(pod, given);
  expect(found?.containers.map(({ name, usage }) => [name, usage.cpu, usage.memory])).toEqual(wanted as never);
  if (found) expect(found).toMatchObject({ timestamp: time, metadata: { labels: { a: 'b' } } });
});

test('the window is the time that the rate covers, as Go writes durations', () => {
  const pod = podWith('Running', ['c', 'd']);
  expect(podMetrics(pod, measured(figures('c', 5, 1_004), figures('d', 5, 62_500)))?.window).toBe('1m2.5s');
  const node = { metadata: { name: 'h' } } as never;
  expect(nodeMetrics(node, { node: { ...figures('h', 7), nodeName: 'h' }, pods: [] })?.window).toBe('15.04s');
});

test('kubelets are asked once at a time, and one that is silent hides nobody', async () => {
  let [nowMs, asked] = [0, 0];
  const clock = {
    now: () => nowMs,
    monotonicMs: () => nowMs,
    soon: async () => {},
    sleep: (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve())),
  };
  const get = async (node: string): Promise<Summary> => {
    asked++;
    if (node === 'dead') throw new Error('no route');
    return { node: { nodeName: node }, pods: [] };
  };
  const quiet = { debug() {} } as never;
  const summaries = new Summaries(get, clock, quiet);
  const names = async () => (await summaries.of(['a', 'dead', 'b'])).map(({ node }) => node.nodeName);
  expect(await names()).toEqual(['a', 'b']);
  expect(await names()).toEqual(['a', 'b']);
  expect(asked).toBe(3);
  nowMs = 6_000;
  await names();
  expect(asked).toBe(6);
});

test('names that would break a line of metrics are escaped', () => {
  const hostile = podWith('Failed', [], { status: { phase: 'Failed', reason: 'a"b\\c\nd' } });
  const page = [
    ...pageOf(
      [podFamilies as never],
      [{ group: '', plural: 'pods' } as never],
      { list: () => [hostile] as never[] },
      200,
    ),
  ].join('');
  expect(page).toContain('kube_pod_status_reason{namespace="n",pod="p",uid="u",reason="a\\"b\\\\c\\nd"} 1\n');
  expect(page).toContain('kube_pod_status_phase{namespace="n",pod="p",uid="u",phase="Failed"} 1\n');
  expect(page).toContain(
    'kube_pod_container_resource_requests{namespace="n",pod="p",uid="u",container="c",node="h",resource="cpu",unit="core"} 0.25\n',
  );
  for (const line of page.trimEnd().split('\n')) expect(line).toMatch(/^(#|[a-z_]+\{.*\} [-+.\de]+$)/);
});
