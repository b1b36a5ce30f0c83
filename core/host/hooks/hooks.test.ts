import { expect, test } from 'bun:test';
import { CallError, type Channel, systemClock } from '#base';
import type { AdmissionRequest, AnyObject, KindRegistry } from '#sdk';
import { rejection } from '../../../test/fixtures/rejection.ts';
import { isSystem, KnownHooks, pluginAdmission } from './admission.ts';
import { HookBoard } from './board.ts';
import type { AskPlugin } from './door.ts';
import { hooksOf } from './points.ts';
import { Breaker, HookStats } from './stats.ts';

const kinds = { all: () => [] } as unknown as KindRegistry;
const request = (change: Partial<AdmissionRequest> = {}): AdmissionRequest & { readonly warnings: string[] } => {
  const warnings: string[] = [];
  return {
    operation: 'CREATE',
    kind: { group: 'x.example.com', version: 'v1', kind: 'Task', plural: 'tasks' },
    subresource: '',
    namespace: 'default',
    object: { metadata: { name: 'a' }, spec: { notes: [] } } as unknown as AnyObject,
    user: { name: 'u', groups: [] },
    dryRun: false,
    warn: (text: string) => void warnings.push(text),
    warnings,
    ...change,
  } as unknown as AdmissionRequest & { readonly warnings: string[] };
};
const hook = (name: string, priority = 0, failurePolicy: 'Fail' | 'Ignore' = 'Fail') => ({
  name,
  priority,
  failurePolicy,
  timeouts: 0,
});

/** Each plugin adds its name to spec.notes; `stable` ones do so once. */
function noting(stable: readonly string[] = []): { ask: AskPlugin; asked: string[] } {
  const asked: string[] = [];
  const ask = (async (plugin: string, _name: string, method: string, body: { object: AnyObject }) => {
    asked.push(plugin);
    if (method === 'validate') return plugin === 'b' ? ['b says no'] : [];
    const { notes } = body.object['spec'] as { notes: string[] };
    const next = stable.includes(plugin) && notes.includes(plugin) ? notes : [...notes, plugin];
    return { metadata: body.object.metadata, spec: { notes: next } };
  }) as unknown as AskPlugin;
  return { ask, asked };
}

test.each([
  ['one runs once', ['a'], [], ['a']],
  ['those whose work others changed run once more', ['a', 'b'], ['a', 'b'], ['a', 'b']],
  ['but no third time', ['a', 'b'], [], ['a', 'b', 'a', 'b']],
])('mutating hooks: %s', async (_what, plugins, stable, notes) => {
  const known = new KnownHooks();
  for (const plugin of plugins.toReversed()) known.set(plugin, [hook('mutate tasks.x.example.com')]);
  const one = request();
  await pluginAdmission(known, noting(stable).ask, kinds).mutate!(one);
  expect(one.object!['spec']).toEqual({ notes });
});

test('priority comes before the name; validating ones are all asked and the refusal has its plugin', async () => {
  const known = new KnownHooks();
  known.set('a', [hook('mutate tasks.x.example.com', 5), hook('validate tasks.x.example.com')]);
  known.set('b', [hook('mutate tasks.x.example.com', -5), hook('validate tasks.x.example.com')]);
  const { ask, asked } = noting(['a', 'b']);
  const admission = pluginAdmission(known, ask, kinds);
  await admission.mutate!(request());
  expect(asked.slice(0, 2)).toEqual(['b', 'a']);
  asked.length = 0;
  expect((await rejection(admission.validate!(request())!)).message).toBe(
    'admission plugin "b" denied the request: b says no',
  );
  expect(asked.toSorted()).toEqual(['a', 'b']);
});

test('without an answer: closed where it fails, open with a warning elsewhere', async () => {
  const silent: AskPlugin = () => Promise.reject(new CallError('timeout', 'no answer within 1000 ms'));
  const known = new KnownHooks();
  known.set('a', [hook('validate tasks.x.example.com', 0, 'Ignore')]);
  const admission = pluginAdmission(known, silent, kinds);
  const one = request();
  await admission.validate!(one);
  expect(one.warnings).toEqual(['plugin a was not asked: no answer within 1000 ms']);
  known.set('b', [hook('validate tasks.x.example.com')]);
  expect((await rejection(admission.validate!(request())!)).message).toBe(
    'Internal error occurred: failed calling plugin "b": no answer within 1000 ms',
  );
});

test('nothing is asked about subresources, system objects, or what is leaving', () => {
  const known = new KnownHooks();
  for (const name of ['tasks.x.example.com', 'pods', 'nodes'])
    known.set(`of-${name.slice(0, 4)}`, [hook(`validate ${name}`), hook(`delete ${name}`)]);
  const { ask, asked } = noting();
  const { validate } = pluginAdmission(known, ask, kinds);
  const pods = { group: '', version: 'v1', kind: 'Pod', plural: 'pods' } as AdmissionRequest['kind'];
  void validate!(request({ subresource: 'status' }));
  void validate!(request({ operation: 'CONNECT' }));
  void validate!(request({ kind: pods, namespace: 'kube-system' }));
  void validate!(request({ kind: { ...pods, plural: 'nodes' }, namespace: '' }));
  const current = { metadata: { name: 'a', deletionTimestamp: '2026-01-01T00:00:00Z' } } as AnyObject;
  void validate!(request({ operation: 'UPDATE', current }));
  void validate!(request({ operation: 'DELETE', current, object: undefined }));
  expect(asked).toEqual([]);
  void validate!(request({ kind: pods }));
  expect(asked).toEqual(['of-pods']);
});
test.each([
  ['', 'pods', 'default', false],
  ['', 'secrets', 'default', true],
  ['apps', 'deployments', 'kube-system', true],
  ['rbac.authorization.k8s.io', 'roles', 'default', true],
  ['plugins.pintle.dev', 'plugins', '', true],
  ['x.example.com', 'tasks', 'kube-system', false],
])('%s %s in %s is of the system: %p', (group, plural, namespace, is) =>
  expect(isSystem({ group, plural }, namespace)).toBe(is),
);

test('what a manifest provides, as hooks: closed for its own kinds, elsewhere only when the operator says so', () => {
  const resources = [{ spec: { group: 'x.example.com', names: { plural: 'tasks' } } }] as never;
  const provides = {
    controllers: [],
    mutates: ['pods'],
    validates: ['tasks.x.example.com', 'pods'],
    schedules: ['zone'],
  };
  const names = (failClosed: string[], approvedNeeds: Record<string, string[]> = { pods: ['validate', 'mutate'] }) =>
    hooksOf({ provides, resources }, { hookPriority: 3, failClosed, approvedNeeds }).map(
      ({ name, failurePolicy, priority }) => `${name} ${failurePolicy} ${priority}`,
    );
  expect(names([])).toEqual([
    'mutate pods Ignore 3',
    'validate tasks.x.example.com Fail 3',
    'validate pods Ignore 3',
    'schedule zone Ignore 3',
  ]);
  expect(names(['mutate pods', 'schedule zone']).filter((name) => name.includes('Fail')).length).toBe(3);
  const bare = names([], { pods: ['list', 'validate'] }); // what was not approved is not attached
  expect(bare).toEqual(['validate tasks.x.example.com Fail 3', 'validate pods Ignore 3', 'schedule zone Ignore 3']);
  const grasping = {
    ...provides,
    mutates: ['secrets', 'roles.rbac.authorization.k8s.io'],
    validates: [],
    schedules: [],
  };
  const all = { secrets: ['mutate'], 'roles.rbac.authorization.k8s.io': ['mutate'] };
  expect(hooksOf({ provides: grasping, resources }, { approvedNeeds: all })).toEqual([]);
});

test('figures: percentiles of the last calls, a pause after three silences in a row', () => {
  const stats = new HookStats();
  expect(stats.percentile(0.5)).toBeUndefined();
  for (let ms = 1; ms <= 1_000; ms++) stats.took(ms, 100);
  expect([stats.percentile(0.5), stats.percentile(0.99), stats.calls, stats.slow]).toEqual([
    '872ms',
    '998ms',
    1_000,
    900,
  ]);
  const breaker = new Breaker();
  for (const silent of [true, true, false, true, true]) breaker.note(silent, 0);
  expect(breaker.isOpen(0)).toBe(false);
  breaker.note(true, 0);
  expect([breaker.isOpen(999), breaker.isOpen(1_000)]).toEqual([true, false]);
  breaker.note(true, 2_000);
  expect(breaker.isOpen(2_500)).toBe(true);
});

test('the board: only what is attached, only its methods; moved by attaching again', async () => {
  const board = new HookBoard(systemClock);
  const target = (word: string, isResponsive = true) => ({
    isResponsive,
    channel: { isOpen: true, call: async () => [word] } as unknown as Channel,
  });
  const name = 'validate tasks.x.example.com';
  const ask = (plugin = 'p', method: 'validate' | 'mutate' = 'validate') =>
    board.ask(plugin, name, method, {} as never).catch((error: CallError) => `${error.failure}: ${error.message}`);
  expect(await ask()).toBe(`closed: plugin p has no ${name} attached for validate`);
  const [old, next] = [target('old'), target('next')];
  board.attach('p', old, [hook(name)]);
  expect(await ask()).toEqual(['old']);
  expect(await ask('p', 'mutate')).toStartWith('closed: ');
  board.attach('p', next, [hook(name)]);
  board.detach('p', old);
  expect(await ask()).toEqual(['next']);
  expect(board.statusOf('p')).toMatchObject([{ name, timeouts: 0, p50: expect.stringMatching(/ms$/) }]);
  board.attach('p', target('hung', false), [hook(name)]);
  expect(await ask()).toBe('closed: plugin p does not run');
  board.detach('p');
  expect(board.statusOf('p')).toBeUndefined();
});
