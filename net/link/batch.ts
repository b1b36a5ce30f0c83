import type { Exec } from '#base';

/**
 * Many commands of `ip` or `bridge` in one process, each tried even if another fails. Resolves to what failed: the place
 * of the line and the tool's complaint. Throws when the tool itself cannot be run.
 */
export async function runBatch(
  exec: Exec,
  tool: 'ip' | 'bridge',
  lines: readonly string[],
): Promise<ReadonlyMap<number, string>> {
  if (lines.length === 0) return new Map();
  const result = await exec.run([tool, '-force', '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
  const failures = parseFailures(result.stderr);
  if (result.code !== 0 && failures.size === 0)
    throw new Error(`${tool} -batch failed: ${result.stderr.trim() || `code ${result.code}`}`);
  return failures;
}

/** Reads `COMPLAINT` lines, each closed by `Command failed -:LINE`; lines count from 1 there and from 0 here. */
export function parseFailures(stderr: string): Map<number, string> {
  const failures = new Map<number, string>();
  let said: string[] = [];
  for (const line of stderr.split('\n')) {
    const place = /^Command failed -:(\d+)$/.exec(line)?.[1];
    if (place === undefined) {
      if (line.trim()) said.push(line.trim());
      continue;
    }
    failures.set(Number(place) - 1, said.join(' ') || 'failed');
    said = [];
  }
  return failures;
}

/** As runBatch, where any failure is an error. */
export async function mustBatch(exec: Exec, tool: 'ip' | 'bridge', lines: readonly string[]): Promise<void> {
  for (const [place, reason] of await runBatch(exec, tool, lines))
    throw new Error(`${tool} ${lines[place]} failed: ${reason}`);
}

/** The rows of a listing such as `ip -j route show`; none where what it asks for is not there. */
export async function listJson<T>(exec: Exec, argv: readonly string[]): Promise<readonly T[]> {
  const result = await exec.run(argv);
  if (result.code !== 0 || result.stdout.trim() === '') return [];
  return JSON.parse(result.stdout) as T[];
}
