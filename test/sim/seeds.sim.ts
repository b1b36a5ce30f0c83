import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSchemaEngine } from '../../core/apiserver/schema/schema.ts';
import { freshImage, generateScenario, runScenario, type Scenario } from '../../core/testing/index.ts';
import { failureReport } from './report.ts';

const seeds = 50;
const schema = createSchemaEngine(); // compiled types are the same in every world
const image = await freshImage({ schema });
const shared = { schema, image };
const folder = join(import.meta.dir, 'scenarios');

test('the same seed gives the same trace', async () => {
  const scenario = generateScenario(4);
  const [first, second, other] = [
    await runScenario(scenario, shared),
    await runScenario(scenario, shared),
    await runScenario(generateScenario(5), shared),
  ];
  expect(first.commits).toBeGreaterThan(50);
  expect(second.traceHash).toBe(first.traceHash);
  expect(other.traceHash).not.toBe(first.traceHash);
});

test(`${seeds} seeds are sound`, async () => {
  const failures: string[] = [];
  for (let seed = 0; seed < seeds && failures.length < 3; seed++) {
    const scenario = generateScenario(seed);
    const outcome = await runScenario(scenario, shared);
    if (outcome.violations.length > 0) failures.push(await failureReport(scenario, outcome, shared));
  }
  expect(failures.join('\n')).toBe('');
}, 300_000);

const kept = readdirSync(folder).filter((name) => name.endsWith('.json'));
test.each(kept)(
  'a bug that was found stays away: %s',
  async (name) => {
    const scenario = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Scenario;
    expect(scenario.note).toBeString();
    const outcome = await runScenario(scenario, shared);
    expect(outcome.violations).toEqual([]);
  },
  60_000,
);
