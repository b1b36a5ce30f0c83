import { expect, test } from 'bun:test';
import type { Node, Pod } from '#api';
import { silentLog } from '#base';
import type { Advice, SchedulingAdviser } from '#sdk';
import { adviceFor, asksFor, ruleOf } from './advice.ts';
import { nodeInfoOf } from './node-info.ts';

const nodes = ['a', 'b'].map((name): Node => ({ metadata: { name } }) as Node);
const pod = { metadata: { name: 'p', namespace: 'default' } } as Pod;
const verdicts = (advice: Advice | undefined, required = false) => {
  const rule = ruleOf({ name: 'plug/rule', required }, nodes, advice);
  return nodes.map((node) => {
    const info = nodeInfoOf(node, []);
    const verdict = rule.filter!(pod, info, {} as never);
    return `${verdict.ok ? 'ok' : verdict.reason} ${rule.score!(pod, info, {} as never)}`;
  });
};

test.each<[string, Advice | undefined, boolean, string[]]>([
  [
    'an answer',
    { filter: [true, 'no disk'], scores: [10, 20] },
    false,
    ['ok 10', 'node(s) refused by plugin plug/rule: no disk 20'],
  ],
  ['scores beyond their range', { scores: [-5, 500] }, false, ['ok 0', 'ok 100']],
  ['no answer', undefined, false, ['ok 0', 'ok 0']],
  ['no answer of a required one', undefined, true, Array(2).fill('plugin plug/rule gave no answer 0')],
  ['an empty answer', {}, true, ['ok 0', 'ok 0']],
])('%s', (_what, advice, required, expected) => expect(verdicts(advice, required)).toEqual(expected));

const adviser = (advise: SchedulingAdviser['advise'], required = false): SchedulingAdviser => ({
  name: 'plug/rule',
  required,
  advise,
  permit: async () => true,
});
test.each<[string, unknown]>([
  ['too few verdicts', { filter: [true] }],
  ['too many scores', { scores: [1, 2, 3] }],
  ['scores that are none', { scores: [1, Number.NaN] }],
  ['text', { filter: 'ok' }],
  ['nothing', null],
])('%s is no answer, and one call is made for all nodes', async (what, answer) => {
  let calls = 0;
  const ask = async (_pod: unknown, asked: readonly unknown[]) => {
    calls++;
    expect(asked.length).toBe(2);
    return answer as Advice;
  };
  const { rules } = await adviceFor(pod, nodes, [adviser(ask, true)], silentLog);
  const verdict = rules[0]!.filter!(pod, nodeInfoOf(nodes[0]!, []), {} as never);
  expect([what, calls, verdict.ok]).toEqual([what, 1, false]);
});

test('the weight is bounded; who permits is known from the answer; pods of the platform are placed without asking', async () => {
  const { rules, permits } = await adviceFor(
    pod,
    nodes,
    [adviser(async () => ({ weight: 1e9, permits: true })), adviser(() => Promise.reject(new Error('late')))],
    silentLog,
  );
  expect([rules.map(({ weight }) => weight), permits.length]).toEqual([[100, 1], 1]);
  expect(asksFor({ metadata: { namespace: 'kube-system' } } as Pod)).toBe(false);
  expect(asksFor(pod)).toBe(true);
});
