import { expect, test } from 'bun:test';
import { celEnvironment } from '../cel/index.ts';
import { compileSchema } from './node.ts';
import { ruleType, ruleValue } from './rule-types.ts';

/** Schema and object, then for each rule what upstream's own estimator and evaluator say: `estimate, cost of this object (-: not compared), rule`. */
const [head, rows] = (await Bun.file(new URL('../../../test/golden/cel/costs.txt', import.meta.url)).text()).split(
  '\n----\n',
) as [string, string];
const { schema, object } = JSON.parse(head) as { schema: Record<string, unknown>; object: Record<string, unknown> };
const node = compileSchema(schema);
const { type } = ruleType(node, false)!;
const environment = celEnvironment({ self: type, oldSelf: type });

test.each(
  rows
    .trim()
    .split('\n')
    .map((row) => row.split('\t') as [string, string, string]),
)('at most %s, here %s: %s', (estimate, spent, rule) => {
  expect(environment.estimate(rule, type).max).toBe(Number(estimate));
  if (spent === '-') return;
  expect(environment.compile(rule).evaluate({ self: ruleValue(node, object), oldSelf: null }).cost).toBe(Number(spent));
});
