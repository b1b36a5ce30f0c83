import type { MatchCondition } from '#api';
import { messageOf } from '#base';
import type { cel } from '#sdk';
import type { Core } from '../../core.ts';
import { admissionEnvironment, type Input, type Scope, valuesOf } from './expressions.ts';

/** In upstream's units. */
const conditionsCostMax = 2_500_000;
const callCostMax = 1_000_000;

export interface CompiledConditions {
  readonly conditions: readonly {
    readonly name: string;
    readonly source: string;
    readonly expression?: cel.Expression;
    readonly error?: string;
  }[];
}

export function compileConditions(
  conditions: readonly MatchCondition[],
  scope: Scope = { authorizer: true },
): CompiledConditions {
  const environment = admissionEnvironment(scope);
  return {
    conditions: conditions.map(({ name, expression: source }) => {
      try {
        return { name, source, expression: environment.compile(source) };
      } catch (error) {
        return { name, source, error: `compilation error: compilation failed: ${messageOf(error)}` };
      }
    }),
  };
}

/** A condition that does not hold ends it, whatever fails beside it; else a failure is a text under Fail, and `false` under Ignore. */
export function conditionsHold(
  core: Core,
  { conditions }: CompiledConditions,
  input: Input & { readonly failurePolicy: string | undefined },
  values: Record<string, cel.Value> = valuesOf(core, input, false),
): boolean | string {
  const failures: string[] = [];
  let left = conditionsCostMax;
  for (const { source, expression, error } of conditions) {
    if (!expression) {
      failures.push(error!);
      continue;
    }
    try {
      const { value, cost } = expression.evaluate(values, Math.min(left, callCostMax));
      left -= cost;
      if (value === false) return false;
    } catch (failed) {
      failures.push(`expression '${source}' resulted in error: ${messageOf(failed)}`);
    }
  }
  if (failures.length === 0) return true;
  if (input.failurePolicy === 'Ignore') return false;
  return failures.length === 1 ? failures[0]! : `[${[...new Set(failures)].join(', ')}]`;
}
