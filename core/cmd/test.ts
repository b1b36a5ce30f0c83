import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PintleError } from '#base';
import { prepareTestTools } from './test-tools.ts';

const root = join(import.meta.dir, '../..');
const allTiers = ['unit', 'integration', 'sim', 'net', 'e2e'] as const;
type Tier = (typeof allTiers)[number] | 'bench';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
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
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  await prepareTestTools(options.yes === true || process.env['CI'] === 'true', chosen);
  for (const tier of chosen) await runTier(tier, counts);
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
  process.exit(counts.failed > 0 ? 1 : 0);
}

async function soak(tiers: readonly string[], minutes: number): Promise<void> {
  if (tiers.join() !== 'sim')
    throw new PintleError('UNKNOWN_TIER', 'only the tier sim has a soak', 'run pintle test sim --soak');
  const argv = [process.execPath, 'test/sim/soak.ts', '--minutes', String(minutes)];
  process.exit(await Bun.spawn(argv, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).exited);
}

async function runTier(tier: Tier, counts: Counts): Promise<void> {
  process.stdout.write(`\n== ${tier} ==\n`);
  if (tier === 'unit') {
    const checks: [string, string[]][] = [
      ['types', [process.execPath, 'x', 'tsc', '--noEmit']],
      ['lint and format', [process.execPath, 'x', 'biome', 'check', '--reporter=summary', '.']],
    ];
    for (const [name, argv] of checks) {
      const code = await Bun.spawn(argv, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).exited;
      process.stdout.write(`${name}: ${code === 0 ? 'ok' : 'FAILED'}\n`);
      if (code === 0) counts.passed++;
      else counts.failed++;
    }
    return runFiles(['./core/', './net/', './plugins/'], [], counts); // within 10 s: nothing here needs the machine
  }
  if (tier === 'integration') return runFiles(['./test/'], ['--timeout', '60000'], counts);
  if (tier === 'sim') return runFiles(filesOf('test/sim', '.sim.ts'), [], counts);
  const files = filesOf(`test/${tier === 'bench' ? 'bench' : tier}`, tier === 'bench' ? '.bench.ts' : `.${tier}.ts`);
  for (const file of files) await runFiles([file], ['--timeout', '120000'], counts);
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

/** Runs `bun test` and adds its closing counts. A run that prints none has failed. */
async function runFiles(files: readonly string[], flags: readonly string[], counts: Counts): Promise<void> {
  if (files.length === 0) return;
  const child = Bun.spawn([process.execPath, 'test', ...flags, ...files], {
    cwd: root,
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'pipe',
  });
  let tail = '';
  const decoder = new TextDecoder();
  for await (const chunk of child.stderr) {
    process.stderr.write(chunk);
    tail = (tail + decoder.decode(chunk, { stream: true })).slice(-20_000);
  }
  const code = await child.exited;
  const parsed = countsOf(tail);
  counts.passed += parsed.passed;
  counts.skipped += parsed.skipped;
  counts.failed += parsed.failed === 0 && code !== 0 ? 1 : parsed.failed;
}

/** Reads ` 12 pass`, ` 1 skip`, ` 0 fail` of the test runner's summary. Pure. */
export function countsOf(summary: string): Counts {
  const last = (word: string): number => {
    const all = [...summary.matchAll(new RegExp(`^\\s*(\\d+) ${word}\\s*$`, 'gm'))];
    return Number(all.at(-1)?.[1] ?? 0);
  };
  return { passed: last('pass'), failed: last('fail'), skipped: last('skip') + last('todo') };
}
