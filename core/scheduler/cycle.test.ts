import { describe, expect, test } from 'bun:test';
import type { Node, NodeSpec, Pod, PodSpec } from '#api';
import { seededRandom } from '#base';
import { schedule, type View } from './cycle.ts';
import { nodeInfoOf } from './node-info.ts';
import { requestsOf } from './pod-requests.ts';
import { SchedulingQueue } from './queue.ts';
import { rules } from './rules/index.ts';

const node = (
  name: string,
  options: { cpu?: string; memory?: string; pods?: string; spec?: NodeSpec; labels?: Record<string, string> } = {},
): Node => ({
  metadata: { name, labels: { 'kubernetes.io/hostname': name, ...options.labels } },
  spec: options.spec ?? {},
  status: { allocatable: { cpu: options.cpu ?? '2', memory: options.memory ?? '4Gi', pods: options.pods ?? '110' } },
});
const emptyView: View = {
  nodes: [],
  cluster: {
    namespaceLabels: () => undefined,
    claim: () => undefined,
    volume: () => undefined,
    volumes: () => [],
    storageClass: () => undefined,
    budgets: () => [],
  },
  nominatedOn: () => [],
};
let count = 0;
const pod = (spec: Partial<PodSpec> = {}, requests?: Record<string, string>, owner?: string): Pod => ({
  metadata: {
    name: `p${count++}`,
    namespace: 'default',
    uid: `u${count}`,
    ownerReferences: owner
      ? [{ apiVersion: 'v1', kind: 'ReplicationController', name: owner, uid: owner, controller: true }]
      : undefined,
  },
  spec: { containers: [{ name: 'c', image: 'i', resources: { requests } }], ...spec },
});
const place = (wanted: Pod, nodes: Node[], running: Record<string, Pod[]> = {}) => {
  const chance = seededRandom(1);
  const outcome = schedule(
    wanted,
    { ...emptyView, nodes: nodes.map((one) => nodeInfoOf(one, running[one.metadata.name!] ?? [])) },
    rules,
    () => chance.next(),
  );
  return outcome.type === 'bind' ? outcome.node : outcome.message;
};

describe('filters say why', () => {
  const rows: [string, Pod, Node[], string][] = [
    ['no nodes', pod(), [], 'no nodes available to schedule pods'],
    ['cpu', pod({}, { cpu: '3' }), [node('a')], '0/1 nodes are available: 1 Insufficient cpu.'],
    [
      'cpu and memory',
      pod({}, { cpu: '3', memory: '5Gi' }),
      [node('a')],
      '0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.',
    ],
    [
      'extended',
      pod({}, { 'example.com/gpu': '1' }),
      [node('a')],
      '0/1 nodes are available: 1 Insufficient example.com/gpu.',
    ],
    ['pods', pod(), [node('a', { pods: '0' })], '0/1 nodes are available: 1 Too many pods.'],
    [
      'cordon',
      pod(),
      [node('a', { spec: { unschedulable: true } })],
      '0/1 nodes are available: 1 node(s) were unschedulable.',
    ],
    [
      'taint',
      pod(),
      [node('a', { spec: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] } })],
      '0/1 nodes are available: 1 node(s) had untolerated taint(s).',
    ],
    [
      'selector',
      pod({ nodeSelector: { disk: 'ssd' } }),
      [node('a'), node('b')],
      "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
    ],
    [
      'a node without the key to spread by',
      pod({ topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'z', whenUnsatisfiable: 'DoNotSchedule' }] }),
      [node('a')],
      "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label).",
    ],
    [
      'mixed',
      pod({}, { cpu: '3' }),
      [node('a'), node('b', { spec: { unschedulable: true } })],
      '0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable.',
    ],
  ];
  for (const [name, wanted, nodes, message] of rows)
    test(name, () => expect(place(wanted, nodes).split(' preemption: ')[0]!).toBe(message));

  const full = { a: [pod({}, { cpu: '2' })] };
  test('what preemption would bring', () => {
    const cordoned = node('b', { spec: { unschedulable: true } });
    expect(place(pod({}, { cpu: '1' }), [node('a'), cordoned], full)).toEndWith(
      ' preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.',
    );
    expect(place(pod({}, { cpu: '3' }), [node('a'), cordoned], full)).toEndWith(
      ' preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.',
    );
    expect(place(pod({ preemptionPolicy: 'Never' }, { cpu: '3' }), [node('a')])).toEndWith(
      ' preemption: not eligible due to preemptionPolicy=Never.',
    );
    expect(place(pod({ priority: 5 }, { cpu: '1' }), [node('a')], full)).toEndWith(
      ' preemption: found a potential placement for pod on node a, preempting 1 victims',
    );
  });
});

describe('scores', () => {
  test('the emptier node wins', () =>
    expect(place(pod({}, { cpu: '100m' }), [node('a'), node('b')], { a: [pod({}, { cpu: '1' })] })).toBe('b'));
  test('pods of one controller spread', () =>
    expect(
      place(pod({}, undefined, 'rc'), [node('a'), node('b', { cpu: '1' })], { a: [pod({}, undefined, 'rc')] }),
    ).toBe('b'));
  test('preferred affinity', () => {
    const affinity = {
      nodeAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 10, preference: { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] } },
        ],
      },
    };
    expect(place(pod({ affinity }), [node('a'), node('b', { labels: { disk: 'ssd' } })])).toBe('b');
  });
  test('a soft taint costs', () =>
    expect(place(pod(), [node('a', { spec: { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] } }), node('b')])).toBe(
      'b',
    ));
});

test('tolerations open tainted nodes', () => {
  const tainted = node('a', { spec: { taints: [{ key: 'k', value: 'v', effect: 'NoExecute' }] } });
  expect(place(pod({ tolerations: [{ key: 'k', operator: 'Exists' }] }), [tainted])).toBe('a');
  expect(place(pod({ tolerations: [{ operator: 'Exists' }] }), [tainted])).toBe('a');
  expect(place(pod({ tolerations: [{ key: 'k', value: 'w' }] }), [tainted])).toContain('untolerated');
});

test('host ports clash per protocol and address', () => {
  const withPort = (hostPort: number, protocol = 'TCP', hostIP?: string) =>
    pod({ containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, hostPort, protocol, hostIP }] }] });
  expect(place(withPort(80), [node('a')], { a: [withPort(80)] })).toContain("didn't have free ports");
  expect(place(withPort(80, 'UDP'), [node('a')], { a: [withPort(80)] })).toBe('a');
  expect(place(withPort(80, 'TCP', '10.0.0.1'), [node('a')], { a: [withPort(80, 'TCP', '10.0.0.2')] })).toBe('a');
});

test('init containers count by their peak, sidecars add up', () => {
  const init = (name: string, cpu: string, restartPolicy?: string) => ({
    name,
    image: 'i',
    restartPolicy,
    resources: { requests: { cpu } },
  });
  expect(requestsOf(pod({ initContainers: [init('a', '1')] }, { cpu: '200m' })).cpuMilli).toBe(1000);
  expect(
    requestsOf(pod({ initContainers: [init('s', '300m', 'Always'), init('a', '100m')] }, { cpu: '200m' })).cpuMilli,
  ).toBe(500);
  expect(requestsOf(pod({ overhead: { cpu: '50m' } }, { cpu: '200m' })).cpuMilli).toBe(250);
});

describe('queue', () => {
  const clock = {
    time: 0,
    now: () => 0,
    monotonicMs: () => clock.time,
    soon: async () => {},
    sleep: async (ms: number) => void (clock.time += ms),
  };
  test('priority first, then arrival', async () => {
    const queue = new SchedulingQueue(clock);
    queue.add('n/a', 0);
    queue.add('n/b', 10);
    queue.add('n/c', 10);
    const order: string[] = [];
    for (let index = 0; index < 3; index++) {
      const key = (await queue.next(new AbortController().signal))!;
      order.push(key);
      queue.remove(key);
    }
    expect(order).toEqual(['n/b', 'n/c', 'n/a']);
  });
  test('a thousand pods come in order, whatever was removed, refused and released between', async () => {
    const queue = new SchedulingQueue(clock);
    const priorityOf = (index: number): number => (index * 7919) % 5;
    const wanted = Array.from({ length: 1000 }, (_, index) => index).filter((index) => index % 3 !== 0);
    for (let index = 0; index < 1000; index++) queue.add(`n/${index}`, priorityOf(index));
    for (let index = 0; index < 1000; index += 3) queue.remove(`n/${index}`);
    for (let index = 1; index < 1000; index += 3) queue.refuse(`n/${index}`, ['node']);
    queue.changed('node');
    wanted.sort((a, b) => priorityOf(b) - priorityOf(a) || a - b);
    for (const index of wanted) {
      expect(await queue.next(new AbortController().signal)).toBe(`n/${index}`);
      queue.remove(`n/${index}`);
    }
    expect(queue.size).toBe(0);
  });
  test('a refused pod comes back only on a change that could help, or after five minutes', async () => {
    const queue = new SchedulingQueue(clock);
    queue.add('n/a', 0);
    queue.refuse('n/a', ['node']);
    queue.changed('pod');
    const start = clock.time;
    await queue.next(new AbortController().signal);
    expect(clock.time - start).toBe(300_000);
    queue.refuse('n/a', ['node']);
    queue.changed('node');
    const again = clock.time;
    await queue.next(new AbortController().signal);
    expect(clock.time - again).toBeLessThanOrEqual(10_000);
  });
});
