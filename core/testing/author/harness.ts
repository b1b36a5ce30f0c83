import type { BuiltinPlugin } from '../../host/parts.ts';
import { AuthorWorld, type AuthorWorldOptions } from './author-world.ts';
import { plannedFaults, reportOf, Trial, type TrialFault } from './trial.ts';

type Body = (...args: never[]) => unknown;
interface Harness {
  trial: Trial | undefined;
}
/** One for the process: the tests' worlds find the trial that they belong to. */
const key = Symbol.for('pintle.author.harness');
const harness = (): Harness => {
  const holder = globalThis as unknown as Record<symbol, Harness | undefined>;
  return (holder[key] ??= { trial: undefined });
};

/** `world({ seed })` of tests, with these built-in plugins. */
export const worldWith =
  (parts: readonly BuiltinPlugin[]) =>
  (options: AuthorWorldOptions): Promise<AuthorWorld> =>
    AuthorWorld.boot(options, parts, harness().trial);

export interface ChaosOptions {
  /** Of one test; beyond, evenly spread writes are chosen. */
  readonly crashesMax: number;
  /** Hears what was done with each test. */
  readonly onDone?: (
    name: string,
    done: { readonly writes: number; readonly runs: number; readonly failures: number },
  ) => void;
}

/** Runs a test's body without faults, then with each; throws a report that names the write of every run that ended differently. */
export async function withChaos(name: string, body: () => unknown, options: ChaosOptions): Promise<void> {
  const baseline = new Trial({ type: 'none' });
  await run(baseline, body);
  if (baseline.worlds.length === 0) return;
  const faults = plannedFaults(baseline.writes.length, options.crashesMax);
  const failures: string[] = [];
  for (const fault of faults) {
    const report = await failureOf(fault, baseline, body);
    if (report) failures.push(report);
  }
  options.onDone?.(name, { writes: baseline.writes.length, runs: faults.length, failures: failures.length });
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${faults.length} runs with faults went wrong\n  ${failures.join('\n  ')}`);
}

async function failureOf(fault: TrialFault, baseline: Trial, body: () => unknown): Promise<string | undefined> {
  const trial = new Trial(fault, baseline);
  try {
    await run(trial, body);
  } catch (error) {
    return reportOf(trial, [`the test itself fails: ${error instanceof Error ? error.message : String(error)}`]);
  }
  const mistakes = trial.mistakes();
  return mistakes.length > 0 ? reportOf(trial, mistakes) : undefined;
}

async function run(trial: Trial, body: () => unknown): Promise<void> {
  const here = harness();
  here.trial = trial;
  try {
    await body();
  } finally {
    here.trial = undefined;
    for (const world of trial.worlds) await world[Symbol.asyncDispose]();
  }
}

/** `test` of bun:test, with every body run under chaos. `each`, `skip` and the like stay usable. */
export function chaosTest<T extends Body>(test: T, options: ChaosOptions): T {
  const wrapped = (name: string, body?: () => unknown, more?: unknown) =>
    (test as unknown as (...args: unknown[]) => void)(
      name,
      body && (() => withChaos(name, body, options)),
      more ?? chaosTestMsMax,
    );
  const own: Record<string, unknown> = {};
  for (const way of ['skip', 'todo', 'failing'] as const) own[way] = (test as unknown as Record<string, unknown>)[way];
  own['only'] = (name: string, body: () => unknown) =>
    (test as unknown as { only: Body }).only(
      ...([name, () => withChaos(name, body, options), chaosTestMsMax] as never[]),
    );
  own['if'] = (condition: boolean) => (condition ? wrapped : own['skip']);
  own['skipIf'] = (condition: boolean) => (condition ? own['skip'] : wrapped);
  own['each'] = (rows: readonly unknown[]) => (name: string, body: (...row: unknown[]) => unknown) =>
    rows.forEach((row, index) => {
      const values = Array.isArray(row) ? row : [row];
      wrapped(`${name} #${index + 1}`, () => body(...values));
    });
  return Object.assign(wrapped, own) as unknown as T;
}
const chaosTestMsMax = 600_000;
