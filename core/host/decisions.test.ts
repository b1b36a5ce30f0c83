import { expect, test } from 'bun:test';
import { rejection } from '../../test/fixtures/rejection.ts';
import { pluginStrategy } from './api-part.ts';
import { afterEnd, afterSilence, freshLife, type Life } from './health.ts';
import type { InstanceState } from './instance.ts';
import type { PluginObject } from './kind.ts';
import { lateOf, linesOf } from './protocol.ts';
import { dangerous, rulesOf, unapproved } from './rbac.ts';
import { StepError, statusOf } from './status.ts';

test('restarts: at once, then with back-off, then no more', () => {
  const waits: number[] = [];
  let life: Life = freshLife;
  for (let crash = 0; ; crash++) {
    const verdict = afterEnd(life, { nowMs: crash * 1_000, wasReady: true });
    if (verdict.type === 'quarantine') {
      expect([waits, verdict.reason]).toEqual([[0, 1_000, 2_000, 4_000], '5 crashes within 10 minutes']);
      break;
    }
    waits.push(verdict.afterMs);
    life = verdict.life;
  }
  const rare = afterEnd({ crashesMs: [0, 1, 2, 3], failedStarts: 0 }, { nowMs: 11 * 60_000, wasReady: true });
  expect(rare).toMatchObject({ type: 'restart', afterMs: 0 });
  const forged = afterEnd(freshLife, { nowMs: 0, wasReady: true, violated: true });
  expect(forged).toMatchObject({ type: 'quarantine', reason: 'it tried to get round its sandbox' });
  const third = afterEnd({ crashesMs: [], failedStarts: 2 }, { nowMs: 0, wasReady: false });
  expect(third).toMatchObject({ type: 'quarantine', reason: '3 starts in a row failed' });
});

test.each([
  [4_999, 'healthy'],
  [5_000, 'unresponsive'],
  [15_000, 'dead'],
])('%d ms of silence: %s', (ms, meaning) => expect(afterSilence(ms)).toBe(meaning as 'dead'));

const definition = {
  metadata: { name: 'notes.example.com' },
  spec: { group: 'example.com', names: { plural: 'notes' } },
} as never;

test('a role is what was approved of the needs, the own kinds, and events', () => {
  const needs = { pods: ['list', 'delete'], 'leases.coordination.k8s.io': ['get'] };
  expect(rulesOf({ needs, resources: [definition] }, { pods: ['list'], secrets: ['get'] })).toEqual([
    { apiGroups: [''], resources: ['pods'], verbs: ['list'] },
    {
      apiGroups: ['example.com'],
      resources: ['notes', 'notes/status', 'notes/finalizers'],
      verbs: ['get', 'list', 'watch', 'update', 'patch'],
    },
    { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  ]);
  expect(unapproved(needs, { pods: ['list'] })).toEqual(['pods: delete', 'leases.coordination.k8s.io: get']);
});

test.each([
  [{ pods: ['create'] }, []],
  [{ secrets: ['get'] }, ['secrets: get']],
  [{ 'clusterroles.rbac.authorization.k8s.io': ['get', 'create'] }, ['clusterroles.rbac.authorization.k8s.io: create']],
])('dangerous in %j: %j', (needs, found) => expect(dangerous(needs)).toEqual(found as string[]));

const runs: InstanceState = { phase: 'Active', message: '', restarts: 2, hangs: 0, sandbox: ['x'], metrics: {} };
const seen = { generation: 3, paused: false, healthy: true, instance: runs, active: { version: '1.0.0', digest: 'd' } };

test('status: conditions up to the step that failed; times of what did not change stay', () => {
  const good = statusOf(seen, undefined, 'T1');
  expect(good).toMatchObject({ phase: 'Active', activeVersion: '1.0.0', restarts: 2, observedGeneration: 3 });
  expect(good.conditions?.map(({ type, status }) => `${type} ${status}`)).toEqual([
    'Verified True',
    'Approved True',
    'Resolved True',
    'Loaded True',
    'Healthy True',
  ]);
  const failure = new StepError('Approved', 'NeedsNotApproved', 'pods: delete');
  const bad = statusOf({ ...seen, instance: undefined, failure }, good, 'T2');
  expect(bad.phase).toBe('Failed');
  expect(
    bad.conditions?.map(({ type, status, lastTransitionTime }) => `${type} ${status} ${lastTransitionTime}`),
  ).toEqual(['Verified True T1', 'Approved False T2']);
  const hooks = statusOf({ ...seen, unused: ['volume driver nfs'] }, good, 'T2').conditions;
  expect(hooks?.find(({ type }) => type === 'Degraded')).toMatchObject({ status: 'True', reason: 'NotUsed' });
  expect(statusOf({ ...seen, paused: true, instance: undefined }, good, 'T2').phase).toBe('Paused');
});

const spec = { digest: `sha256:${'a'.repeat(64)}`, version: '1.0.0' };
test.each<[object, string[]]>([
  [spec, []],
  [{ ...spec, digest: 'sha256:x', version: '1' }, ['spec.digest', 'spec.version']],
  [{ ...spec, approvedNeeds: { pods: ['*'] } }, ['spec.approvedNeeds']],
  [{ ...spec, approvedNeeds: ['pods'] }, ['spec.approvedNeeds']],
  [{ ...spec, isolation: 'builtin', paused: 'no', config: [] }, ['spec.config', 'spec.paused', 'spec.isolation']],
])('the spec %j: mistakes at %j', (spec, fields) => {
  const plugin = { apiVersion: 'plugins.pintle.dev/v1', kind: 'Plugin', metadata: { name: 'x' }, spec } as PluginObject;
  expect(pluginStrategy.validate(plugin).map(({ field }) => field)).toEqual(fields);
});

test('lines arrive whole; one without end is refused before it fills memory', async () => {
  async function* chunks(...texts: string[]) {
    for (const text of texts) yield Buffer.from(text);
  }
  expect(await Array.fromAsync(linesOf(chunks('a\nb', 'c\n', 'rest')))).toEqual(['a', 'bc']);
  const endless = linesOf(chunks(...Array.from({ length: 40 }, () => 'x'.repeat(64 * 1024))));
  expect((await rejection(Array.fromAsync(endless))).message).toMatch('longer than 1048576 bytes');
});

test('reconciles that hang are said in the status, and what a plugin says of them is cut', () => {
  const instance = {
    phase: 'Active',
    message: '',
    restarts: 0,
    hangs: 0,
    sandbox: [],
    metrics: {},
    late: { total: 2, objects: ['cron-crontasks default/tick'] },
  } as const;
  const { conditions } = statusOf({ generation: 1, paused: false, instance, healthy: true }, undefined, 'T1');
  expect(conditions?.find(({ type }) => type === 'Degraded')).toMatchObject({
    status: 'True',
    reason: 'ReconcileDeadline',
    message: 'reconciles did not return within 60 s and are tried again: cron-crontasks default/tick',
  });
  const flood = { total: -1, objects: Array.from({ length: 1_000 }, () => 'x'.repeat(10_000)) };
  const { total, objects } = lateOf(flood);
  expect([total, objects.length, objects[0]?.length]).toEqual([0, 5, 512]);
  for (const nothing of [undefined, null, 7, { objects: 'a' }])
    expect(lateOf(nothing)).toEqual({ total: 0, objects: [] });
});

test('hooks on kinds of others are rights in words, none of them verbs of its role; changing is dangerous', () => {
  const needs = { pods: ['list', 'validate', 'mutate'], 'deployments.apps': ['validate'] };
  expect(unapproved(needs, {})).toEqual([
    'pods: list',
    'sees and may refuse pods',
    'sees and may change pods',
    'sees and may refuse deployments.apps',
  ]);
  expect(dangerous(needs)).toEqual(['sees and may change pods']);
  const verbs = rulesOf({ resources: [], needs }, needs).flatMap((rule) => rule.verbs ?? []);
  expect(verbs).toEqual(['list', 'create', 'patch']);
});
