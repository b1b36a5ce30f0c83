import { describe, expect, test } from 'bun:test';
import type { Node, Pod, PodDisruptionBudget, PodSpec } from '#api';
import { schedule, type View } from './cycle.ts';
import { nodeInfoOf } from './node-info.ts';
import { leastLoss, protectedBy } from './preemption.ts';
import { rules } from './rules/index.ts';

const node = (name: string): Node => ({
  metadata: { name, labels: { 'kubernetes.io/hostname': name } },
  status: { allocatable: { cpu: '2', memory: '4Gi', pods: '110' } },
});
function pod(name: string, priority: number, cpu: string, more: Partial<PodSpec> = {}, labels = { app: name }): Pod {
  return {
    metadata: { name, namespace: 'default', uid: name, labels },
    spec: { priority, containers: [{ name: 'c', resources: { requests: { cpu } } }], ...more },
  };
}
function decide(
  wanted: Pod,
  running: Record<string, Pod[]>,
  more: { budgets?: PodDisruptionBudget[]; nominated?: Record<string, Pod[]> } = {},
) {
  const view: View = {
    nodes: Object.keys(running).map((name) => nodeInfoOf(node(name), running[name]!)),
    cluster: {
      namespaceLabels: () => undefined,
      claim: () => undefined,
      volume: () => undefined,
      volumes: () => [],
      storageClass: () => undefined,
      budgets: () => more.budgets ?? [],
    },
    nominatedOn: (name) => more.nominated?.[name] ?? [],
  };
  return schedule(wanted, view, rules, () => 0);
}
const victims = (outcome: ReturnType<typeof decide>): string => {
  if (outcome.type === 'bind') return outcome.node;
  const found = outcome.preemption;
  return found ? `${found.node}: ${found.victims.map((one) => one.metadata.name).join(' ')}` : outcome.message;
};
const budget = (app: string, disruptionsAllowed: number): PodDisruptionBudget => ({
  metadata: { name: app, namespace: 'default' },
  spec: { selector: { matchLabels: { app } } },
  status: { disruptionsAllowed, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 },
});

describe('victims', () => {
  const high = pod('high', 100, '1');
  const cases: [string, Pod, Record<string, Pod[]>, string][] = [
    ['the less important goes', high, { a: [pod('x', 10, '1'), pod('y', 5, '1')] }, 'a: y'],
    ['as few as do', high, { a: [pod('x', 10, '500m'), pod('y', 5, '500m'), pod('z', 20, '1')] }, 'a: x y'],
    [
      'equals stay',
      high,
      { a: [pod('x', 100, '2')] },
      '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.',
    ],
    [
      'too little comes free',
      high,
      { a: [pod('x', 200, '1500m'), pod('y', 1, '500m')] },
      '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Insufficient cpu.',
    ],
    ['the node with the lowest victim', high, { a: [pod('x', 10, '2')], b: [pod('y', 5, '2')] }, 'b: y'],
    [
      'fewest victims',
      high,
      {
        a: [pod('x', 5, '1'), pod('y', 5, '1'), pod('z', 200, '0')],
        b: [pod('u', 5, '500m'), pod('v', 5, '500m'), pod('w', 200, '1')],
      },
      'a: y',
    ],
    [
      'a pod that it must be apart from',
      pod('p', 100, '0', {
        affinity: {
          podAntiAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: [
              { labelSelector: { matchLabels: { app: 'x' } }, topologyKey: 'kubernetes.io/hostname' },
            ],
          },
        },
      }),
      { a: [pod('x', 10, '1'), pod('y', 5, '1')] },
      'a: x',
    ],
    [
      'a host port',
      pod('p', 100, '0', { containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort: 80 }] }] }),
      {
        a: [
          pod('x', 10, '1'),
          pod('y', 5, '0', { containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort: 80 }] }] }),
        ],
      },
      'a: y',
    ],
  ];
  for (const [name, wanted, running, expected] of cases)
    test(name, () => expect(victims(decide(wanted, running))).toBe(expected));

  test('a pod that its domain is too full with', () => {
    const constraint = {
      maxSkew: 1,
      topologyKey: 'kubernetes.io/hostname',
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels: { s: '1' } },
    };
    const wanted = pod('p', 100, '0', { topologySpreadConstraints: [constraint] }, { app: 'p', s: '1' } as never);
    const of = (name: string, priority: number) => pod(name, priority, '0', {}, { app: name, s: '1' } as never);
    const tainted = decide(wanted, { a: [of('x', 5), of('y', 6)], b: [pod('full', 200, '2')] });
    expect(victims(tainted)).toBe('b');
    const busy = {
      ...wanted,
      spec: {
        ...wanted.spec!,
        nodeSelector: { 'kubernetes.io/hostname': 'a' },
        topologySpreadConstraints: [{ ...constraint, nodeAffinityPolicy: 'Ignore' }],
      },
    };
    expect(victims(decide(busy, { a: [of('x', 5), of('y', 6)], b: [] }))).toBe('a: y x');
  });
  test('disruption budgets: others first, and a node without', () => {
    const running = { a: [pod('x', 5, '1'), pod('y', 10, '1')] };
    expect(victims(decide(high, running, { budgets: [budget('x', 0)] }))).toBe('a: y');
    expect(victims(decide(high, running, { budgets: [budget('x', 1)] }))).toBe('a: x');
    const two = { a: [pod('x', 5, '2')], b: [pod('y', 50, '2')] };
    expect(victims(decide(high, two, { budgets: [budget('x', 0)] }))).toBe('b: y');
    const both = decide(high, { a: [pod('x', 5, '2')] }, { budgets: [budget('x', 0)] });
    expect(victims(both)).toBe('a: x');
  });
  test('budgets are spent in order, and not for what was evicted before', () => {
    const pods = [pod('1', 1, '0', {}, { app: 'x' }), pod('2', 1, '0', {}, { app: 'x' })];
    expect([...protectedBy([budget('x', 1)], pods)]).toEqual([pods[1]!]);
    const paid = budget('x', 0);
    paid.status!.disruptedPods = { '1': '2026-01-01T00:00:00Z' };
    expect([...protectedBy([paid], pods)]).toEqual([pods[1]!]);
    expect([...protectedBy([{ ...budget('x', 0), spec: { selector: {} } }], pods)]).toEqual([]);
  });
  test('the youngest of equals', () => {
    const started = (name: string, startTime: string): Pod => ({ ...pod(name, 1, '0'), status: { startTime } });
    const of = (name: string, at: string) => ({ node: name, victims: [started(name, at)], violations: 0 });
    expect(leastLoss([of('a', '2026-01-01T00:00:00Z'), of('b', '2026-01-02T00:00:00Z')]).node).toBe('b');
  });
});

describe('nominations', () => {
  test('room is kept for pods of the same or higher priority', () => {
    const waiting = pod('waiting', 100, '2');
    const nominated = { a: [waiting] };
    expect(victims(decide(pod('p', 50, '1'), { a: [] }, { nominated }))).toStartWith(
      '0/1 nodes are available: 1 Insufficient cpu.',
    );
    expect(victims(decide(pod('p', 200, '1'), { a: [] }, { nominated }))).toBe('a');
    expect(victims(decide(waiting, { a: [] }, { nominated }))).toBe('a');
  });
  test('the nominated node comes first; a victim that still stops is awaited', () => {
    const wanted: Pod = { ...pod('p', 100, '1'), status: { nominatedNodeName: 'b' } };
    expect(victims(decide(wanted, { a: [], b: [pod('x', 1, '1')] }))).toBe('b');
    const leaving: Pod = pod('x', 1, '2');
    leaving.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    leaving.status = { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' }] };
    expect(victims(decide(wanted, { b: [leaving] }))).toEndWith(
      ' preemption: not eligible due to a terminating pod on the nominated node.',
    );
  });
});
