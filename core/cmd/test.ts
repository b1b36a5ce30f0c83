import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { PintleError } from '#base';
import { type Counts, type Failure, TestReport } from './test-report.ts';
import { prepareTestTools } from './test-tools.ts';

const root = join(import.meta.dir, '../..');
const allTiers = ['unit', 'integration', 'sim', 'net', 'e2e'] as const;
type Tier = (typeof allTiers)[number] | 'bench';

interface Sums extends Counts {
  readonly failures: Failure[];
}

export interface TestOptions {
  readonly yes?: boolean;
  /** Simulates new seeds instead of running tiers. */
  readonly soak?: boolean;
  readonly minutes?: number;
}

/** `test [tier…]`: installs what is missing (with --yes as root), runs the tiers, prints the counts as the last line. */
export async function test(tiers: readonly string[], options: TestOptions): Promise<void> {
  const known = [...allTiers, 'bench'];
  const unknown = tiers.find((tier) => !known.includes(tier as Tier));
  if (unknown) throw new PintleError('UNKNOWN_TIER', `there is no tier ${unknown}`, `name some of ${known.join(', ')}`);
  if (options.soak) return soak(tiers, options.minutes ?? 24 * 60);
  const chosen = (tiers.length > 0 ? tiers : allTiers) as Tier[];
  const sums: Sums = { passed: 0, failed: 0, skipped: 0, failures: [] };
  await prepareTestTools(options.yes === true || process.env['CI'] === 'true', chosen);
  for (const tier of chosen) await runTier(tier, sums);
  report(sums.failures);
  process.stdout.write(`${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped\n`);
  process.exit(sums.failed > 0 ? 1 : 0);
}

/** At the end, where it is seen: what failed, where, and what it said. */
function report(failures: readonly Failure[]): void {
  if (failures.length === 0) return;
  process.stdout.write('\n== failed ==\n');
  for (const { file, test: name, lines } of failures)
    process.stdout.write(`${file}: ${name}\n${lines.map((line) => `    ${line}\n`).join('')}`);
}

async function soak(tiers: readonly string[], minutes: number): Promise<void> {
  if (tiers.join() !== 'sim')
    throw new PintleError('UNKNOWN_TIER', 'only the tier sim has a soak', 'run pintle test sim --soak');
  const argv = [process.execPath, 'test/sim/soak.ts', '--minutes', String(minutes)];
  process.exit(await Bun.spawn(argv, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).exited);
}

async function runTier(tier: Tier, sums: Sums): Promise<void> {
  process.stdout.write(`\n== ${tier} ==\n`);
  if (tier === 'unit') {
    const checks: [string, string[]][] = [
      ['types', [process.execPath, 'x', 'tsc', '--noEmit']],
      ['lint and format', [process.execPath, 'x', 'biome', 'check', '--reporter=summary', '.']],
    ];
    for (const [name, argv] of checks) {
      const code = await Bun.spawn(argv, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).exited;
      process.stdout.write(`${name}: ${code === 0 ? 'ok' : 'FAILED'}\n`);
      if (code === 0) sums.passed++;
      else sums.failed++;
    }
    return runFiles(['./core/', './net/', './plugins/'], ['--timeout', '60000'], false, sums); // within 10 s: nothing here needs the machine
  }
  if (tier === 'integration') return runFiles(['./test/', './examples/'], ['--timeout', '120000'], true, sums);
  if (tier === 'sim') return runFiles(filesOf('test/sim', '.sim.ts'), ['--timeout', '300000'], false, sums);
  const files = filesOf(`test/${tier === 'bench' ? 'bench' : tier}`, tier === 'bench' ? '.bench.ts' : `.${tier}.ts`);
  const run = (file: string) => runFiles([file], ['--timeout', '240000'], true, sums, lanes > 1);
  if (tier === 'bench')
    for (const file of files) await run(file); // figures want the machine for themselves
  else await inLanes(files, lanes, run);
}

/** Files that use real machines mostly wait: two at a time, each on clusters and namespaces of its own. */
const lanes = Math.min(2, availableParallelism());
async function inLanes(files: readonly string[], count: number, run: (file: string) => Promise<void>): Promise<void> {
  const waiting = [...files];
  const lane = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) await run(file);
  };
  await Promise.all(Array.from({ length: count }, lane));
}

const filesOf = (folder: string, suffix: string): string[] => {
  try {
    return readdirSync(join(root, folder))
      .filter((name) => name.endsWith(suffix))
      .sort()
      .map((name) => `./${folder}/${name}`);
  } catch {
    return [];
  }
};

/**
 * Runs `bun test` and adds what it counted. Where real machines and clocks are used (`again`), files that failed run once
 * more: the count stays that of the first run, and the report tells which failures are there every time.
 */
async function runFiles(
  files: readonly string[],
  flags: readonly string[],
  again: boolean,
  sums: Sums,
  whole = false,
): Promise<void> {
  if (files.length === 0) return;
  const { counts, failures } = await runOnce(files, flags, whole);
  sums.passed += counts.passed;
  sums.skipped += counts.skipped;
  sums.failed += counts.failed;
  const failed = [...new Set(failures.map(({ file }) => file))];
  if (!again || failed.length === 0 || failed.length > maxSecondRuns || failed.includes('')) {
    sums.failures.push(...failures);
    return;
  }
  process.stdout.write(`\nfailed, and run once more for the report: ${failed.join(' ')}\n`);
  const paths = failed.map((file) => (file.startsWith('./') ? file : `./${file}`));
  const second = new Set((await runOnce(paths, flags, whole)).failures.map(({ file }) => file));
  for (const failure of failures) {
    const outcome = second.has(failure.file) ? 'its file failed again' : 'its file passed when it ran again';
    sums.failures.push({ ...failure, lines: [...failure.lines, outcome] });
  }
}

/** More files than this do not fail by chance. */
const maxSecondRuns = 3;

/** `whole`: what it prints comes at its end, in one piece, since others print meanwhile. */
async function runOnce(files: readonly string[], flags: readonly string[], whole: boolean): Promise<TestReport> {
  const child = Bun.spawn([process.execPath, 'test', ...flags, ...files], {
    cwd: root,
    env: { ...process.env }, // as it is now: PATH has grown by the tools of the tests
    stdin: 'ignore',
    stdout: whole ? 'pipe' : 'inherit',
    stderr: 'pipe',
  });
  if (whole) process.stdout.write(`running ${files.join(' ')}\n`);
  const seen = new TestReport();
  const said: Uint8Array[] = [];
  const print = (chunk: Uint8Array) => void (whole ? said.push(chunk) : process.stderr.write(chunk));
  const decoder = new TextDecoder();
  const others = (async () => {
    if (child.stdout) for await (const chunk of child.stdout) print(chunk);
  })();
  for await (const chunk of child.stderr) {
    print(chunk);
    seen.feed(decoder.decode(chunk, { stream: true }));
  }
  await others;
  seen.end(await child.exited);
  if (whole) process.stderr.write(Buffer.concat(said));
  return seen;
}
