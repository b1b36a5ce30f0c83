import { parseArgs } from 'node:util';
import { createSchemaEngine } from '../../core/apiserver/schema/schema.ts';
import { freshImage, generateScenario, runScenario } from '../../core/testing/index.ts';
import { failureReport } from './report.ts';

/** `bun test/sim/soak.ts [--minutes N] [--from SEED] [--seeds N] [--scale N]`: new seeds until the time is over; exits 1 when one failed. */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    from: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    seeds: { type: 'string', default: 'Infinity' },
    scale: { type: 'string', default: '3' },
  },
});
const scale = Number(values.scale);
const first = Number(values.from);
const endMs = Date.now() + Number(values.minutes) * 60_000;
const startMs = Date.now();
const schema = createSchemaEngine();
const shared = { schema, image: await freshImage({ schema }) };
let failed = 0;
let runs = 0;
let virtualMs = 0;
let commits = 0;
for (let seed = first; Date.now() < endMs && runs < Number(values.seeds); seed++, runs++) {
  const scenario = generateScenario(seed, { scale });
  const outcome = await runScenario(scenario, shared);
  virtualMs += outcome.virtualMs;
  commits += outcome.commits;
  if (outcome.violations.length === 0) continue;
  failed++;
  process.stdout.write(`${await failureReport(scenario, outcome, shared)}\n`);
}
const seconds = (Date.now() - startMs) / 1000;
process.stdout.write(
  `${runs} seeds from ${first} (scale ${scale}), ${failed} failed; ${commits} changes, ${(virtualMs / 3_600_000).toFixed(1)} simulated hours in ${seconds.toFixed(0)} s\n`,
);
process.exit(failed > 0 ? 1 : 0);
