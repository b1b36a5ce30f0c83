import { expect, test } from 'bun:test';
import { CallError, silentLog, systemClock } from '#base';
import type { UserInfo } from '#sdk';
import { KnownHooks } from './admission.ts';
import { isExempt, withPluginAuthorizers } from './authorizers.ts';
import type { AskPlugin } from './door.ts';

const asked = {
  verb: 'get',
  group: '',
  version: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'default',
  name: 'a',
  path: '/api/v1/namespaces/default/pods/a',
  isResource: true,
};
const person: UserInfo = { name: 'ada', groups: ['makers'] };
/** `says`: of each plugin, what its authorizer answers; a function may throw. */
function guarded(says: Readonly<Record<string, () => unknown>>, allows = true) {
  const known = new KnownHooks();
  const calls: string[] = [];
  for (const plugin of Object.keys(says))
    known.set(plugin, [{ name: 'authorize gate', priority: 0, failurePolicy: 'Ignore', timeouts: 0 }]);
  const ask = (async (plugin: string) => {
    calls.push(plugin);
    return says[plugin]!();
  }) as unknown as AskPlugin;
  let nowMs = 0;
  const clock = { ...systemClock, monotonicMs: () => nowMs };
  const inner = { authorize: () => ({ allowed: allows }), rulesFor: () => 'kept' };
  const all = withPluginAuthorizers(inner, known, ask, { clock, log: silentLog });
  return { all, calls, pass: (ms: number) => (nowMs += ms) };
}
const silent = () => {
  throw new CallError('timeout', 'no answer');
};

test.each([
  ['nobody has a word', {}, { allowed: true }],
  ['all abstain', { a: () => null, b: () => undefined }, { allowed: true }],
  [
    'one denies',
    { a: () => null, b: () => 'too late' },
    { allowed: false, denied: true, reason: 'plugin "b": too late' },
  ],
  ['a silent one', { a: silent }, { allowed: true }],
  ['one that answers with what is no reason', { a: () => ({ allowed: true }) }, { allowed: true }],
  ['one that says yes', { a: () => true }, { allowed: true }],
])('%s', async (_what, says: Readonly<Record<string, () => unknown>>, expected) => {
  expect(await guarded(says).all.authorize(person, asked)).toEqual(expected);
});

test('what no role allows, and paths that are no resources, are not asked about; the rest of the authorizer is there', async () => {
  const refused = guarded({ a: () => 'no' }, false);
  expect(await refused.all.authorize(person, asked)).toEqual({ allowed: false });
  const other = guarded({ a: () => 'no' });
  expect(await other.all.authorize(person, { ...asked, isResource: false })).toEqual({ allowed: true });
  expect(other.all.authorizeNow(person, asked)).toEqual({ allowed: true });
  expect(other.all.rulesFor()).toBe('kept');
  expect([refused.calls, other.calls]).toEqual([[], []]);
});

test('without an answer only those are refused whom that plugin has let in', async () => {
  const { all } = guarded({ a: silent });
  const of = (plugin: string) => ({ ...person, extra: { 'plugins.pintle.dev/authenticator': [plugin] } });
  expect(await all.authorize(of('a'), asked)).toEqual({
    allowed: false,
    denied: true,
    reason: 'plugin "a" gave no answer',
  });
  expect(await all.authorize(of('b'), asked)).toEqual({ allowed: true });
});

test('an answer holds for a second, for the same question', async () => {
  const { all, calls, pass } = guarded({ a: () => 'no' });
  await Promise.all([all.authorize(person, asked), all.authorize(person, asked)]);
  await all.authorize(person, { ...asked, verb: 'list' });
  expect(calls.length).toBe(2);
  pass(1_000);
  await all.authorize(person, asked);
  expect(calls.length).toBe(3);
});

test.each([
  ['kubernetes-admin', ['system:masters'], true],
  ['system:kube-scheduler', [], true],
  ['system:node:a', ['system:nodes'], true],
  ['system:serviceaccount:kube-system:dns', [], true],
  ['system:serviceaccount:pintle-plugins:cron', [], true],
  ['system:serviceaccount:default:default', [], false],
  ['system:anonymous', [], false],
  ['ada', ['makers'], false],
])('%s of %p is exempt: %p', (name, groups, expected) => {
  expect(isExempt({ name, groups })).toBe(expected);
});
