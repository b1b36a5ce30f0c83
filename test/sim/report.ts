import type { Scenario } from '../../core/testing/index.ts';
import { type Outcome, type RunOptions, runScenario, shrinkScenario } from '../../core/testing/index.ts';

const traceLines = 25;

/** What a person needs to work on a failing seed: the seed, the smallest scenario that still fails in the same way, how it ended. */
export async function failureReport(scenario: Scenario, { violations }: Outcome, options: RunOptions): Promise<string> {
  const [first] = violations;
  const failsAlike = (outcome: Outcome) => outcome.violations.some(({ invariant }) => invariant === first?.invariant);
  const small = await shrinkScenario(scenario, async (candidate) => failsAlike(await runScenario(candidate, options)));
  const last = await runScenario(small, options);
  return [
    `seed ${scenario.seed}: ${first?.invariant} violated at ${first?.atMs} ms: ${first?.message}`,
    'the last things that happened in the smallest scenario:',
    ...last.trace.slice(-traceLines).map((line) => `  ${line}`),
    'keep it as test/sim/scenarios/NAME.json, with a note:',
    JSON.stringify({ note: `${last.violations[0]?.invariant}: ${last.violations[0]?.message}`, ...small }),
  ].join('\n');
}
