import { describe, expect, test } from 'bun:test';
import type { ClusterRole, KubeObject, Pod, PodDisruptionBudget, ResourceQuota } from '#api';
import { aggregate } from './clusterrole-aggregation.ts';
import { countBudget, selects } from './disruption.ts';
import { count, isLower, kindsOf, resourceQuotaController } from './resource-quota.ts';

const pod = (name: string, more: Partial<Pod> = {}): Pod & KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'n', labels: { a: 'b' } },
  spec: { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '300m', memory: '1Gi' } } }] },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
  ...more,
});

describe('disruption budgets', () => {
  const budget = (
    spec: PodDisruptionBudget['spec'],
    status?: PodDisruptionBudget['status'],
  ): PodDisruptionBudget & KubeObject => ({ metadata: { name: 'b', namespace: 'n', generation: 1 }, spec, status });
  const three = [pod('a'), pod('b'), pod('c', { status: {} })];
  const table: [
    spec: PodDisruptionBudget['spec'],
    scale: number,
    allowed: number,
    desired: number,
    expected: number,
  ][] = [
    [{ minAvailable: 1 }, 3, 1, 1, 3],
    [{ minAvailable: 2 }, 3, 0, 2, 3],
    [{ minAvailable: '50%' }, 3, 0, 2, 3],
    [{ maxUnavailable: 1 }, 3, 0, 2, 3],
    [{ maxUnavailable: '50%' }, 3, 1, 1, 3],
    [{ maxUnavailable: 5 }, 3, 2, 0, 3],
    [{}, 3, 0, 0, 0],
    [{ minAvailable: 0 }, 0, 0, 0, 0],
  ];
  test.each(table)('%j of %d', (spec, scale, allowed, desired, expected) => {
    expect(countBudget(budget(spec), three, scale, 0)).toMatchObject({
      disruptionsAllowed: allowed,
      desiredHealthy: desired,
      expectedPods: expected,
      currentHealthy: 2,
      observedGeneration: 1,
    });
  });
  test('a pod that is being evicted counts as gone until that did not happen', () => {
    const evicted = budget(
      { minAvailable: 1 },
      {
        disruptedPods: { a: '1970-01-01T00:00:00Z' },
        currentHealthy: 2,
        desiredHealthy: 1,
        disruptionsAllowed: 1,
        expectedPods: 3,
      },
    );
    expect(countBudget(evicted, three, 3, 60_000)).toMatchObject({ currentHealthy: 1, disruptionsAllowed: 0 });
    expect(countBudget(evicted, three, 3, 121_000)).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 1 });
  });
  test('an absent selector selects nothing, an empty one everything', () => {
    expect(selects(budget({}), pod('a'))).toBe(false);
    expect(selects(budget({ selector: {} }), pod('a'))).toBe(true);
    expect(selects(budget({ selector: { matchLabels: { a: 'x' } } }), pod('a'))).toBe(false);
  });
});

describe('quotas', () => {
  const quota = (hard: Record<string, string>, more: object = {}): ResourceQuota & KubeObject => ({
    metadata: { name: 'q', namespace: 'n' },
    spec: { hard, ...more },
  });
  const pods = [pod('a'), pod('b'), pod('done', { status: { phase: 'Succeeded' } })];
  const counted = (of: ResourceQuota & KubeObject) =>
    count(of, kindsOf(Object.keys(of.spec?.hard ?? {})), 0, (kind) => (kind.plural === 'pods' ? pods : []));
  const table: [hard: string[], scopes: string[], used: Record<string, string>][] = [
    [
      ['pods', 'requests.cpu', 'memory', 'limits.cpu'],
      [],
      { pods: '2', 'requests.cpu': '600m', memory: '2Gi', 'limits.cpu': '0' },
    ],
    [['count/pods'], [], { 'count/pods': '3' }],
    [['pods'], ['BestEffort'], { pods: '0' }],
    [['pods'], ['NotBestEffort'], { pods: '2' }],
    [
      ['secrets', 'services.nodeports', 'count/leases.coordination.k8s.io'],
      [],
      { secrets: '0', 'services.nodeports': '0', 'count/leases.coordination.k8s.io': '0' },
    ],
  ];
  test.each(table)('%j %j', (hard, scopes, used) => {
    expect(counted(quota(Object.fromEntries(hard.map((name) => [name, '9'])), { scopes }))).toEqual(used);
  });
  test('only the kinds that count are looked at', () => {
    expect(kindsOf(['pods', 'limits.cpu']).map((kind) => kind.plural)).toEqual(['pods']);
    expect(
      kindsOf(['count/leases.coordination.k8s.io', 'requests.storage'])
        .map((kind) => kind.plural)
        .sort(),
    ).toEqual(['leases', 'persistentvolumeclaims']);
  });
});

test('aggregated roles hold the rules of those they select, once each', () => {
  const rule = (verb: string) => ({ verbs: [verb], apiGroups: [''], resources: ['pods'] });
  const role = (name: string, labels: Record<string, string>, ...verbs: string[]): ClusterRole & KubeObject => ({
    metadata: { name, labels },
    rules: verbs.map(rule),
  });
  const whole: ClusterRole & KubeObject = {
    metadata: { name: 'whole' },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: 'whole' } }] },
  };
  const all = [
    role('z', { to: 'whole' }, 'get', 'list'),
    role('a', { to: 'whole' }, 'get'),
    role('x', {}, 'delete'),
    whole,
  ];
  expect(aggregate(whole, all)).toEqual([rule('get'), rule('list')]);
});

test('what was charged is taken back only when nothing was charged for a second', async () => {
  let nowMs = 0;
  const writes: unknown[] = [];
  const cache = { list: () => [pod('one')] };
  const context = {
    client: { update: async (_kind: unknown, quota: ResourceQuota) => writes.push(quota.status?.used) },
    informers: { informer: () => ({ cache, synced: Promise.resolve() }) },
    clock: { now: () => 0, monotonicMs: () => nowMs },
  } as never;
  const quota = (used: string, hard = '2'): ResourceQuota & KubeObject => ({
    metadata: { namespace: 'n', name: 'q' },
    spec: { hard: { pods: '2' } },
    status: { hard: { pods: hard }, used: { pods: used } },
  });
  const { reconciler } = resourceQuotaController;
  const run = (current: ResourceQuota & KubeObject) =>
    reconciler.reconcile({ namespace: 'n', name: 'q' }, current, context);
  const charged = quota('2');
  expect(await run(charged)).toEqual({ requeueAfterMs: 1_000 });
  nowMs = 400;
  expect(await run(charged)).toEqual({ requeueAfterMs: 600 });
  const chargedAgain = quota('2');
  expect(await run(chargedAgain)).toEqual({ requeueAfterMs: 1_000 });
  expect(writes).toEqual([]);
  nowMs = 1_400;
  await run(chargedAgain);
  expect(writes).toEqual([{ pods: '1' }]);
  await run(quota('0'));
  expect(writes).toHaveLength(2); // more than was charged is written at once
  expect(isLower({ pods: '1' }, undefined)).toBe(false);
});
