/** What one run of `bun test` said, read from its output line by line. Pure but for the lines it is fed. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Failure {
  /** As the runner names it, relative to the root; empty when the run ended before any file was named. */
  readonly file: string;
  readonly test: string;
  /** The last lines printed since the test before it ended: the assertion, and what the test said. */
  readonly lines: readonly string[];
}

const maxLines = 60;
const maxFailures = 200;
const colours = /\x1b\[[0-9;]*m/g;

/** Feeds on output; holds at most the last `maxLines` lines, and `maxFailures` failures. */
export class TestReport {
  readonly counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  readonly failures: Failure[] = [];
  #file = '';
  #recent: string[] = [];
  #rest = '';
  /** At the end of a long run the runner tells once more what failed, under no file. */
  #isOver = false;

  feed(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(-10_000);
    for (const line of lines) this.#line(line.replace(colours, ''));
  }

  /** The run ended with `code`. A run that failed and names no test has failed as a whole. */
  end(code: number): void {
    this.feed('\n');
    if (code === 0 || this.counts.failed > 0) return;
    this.counts.failed = 1;
    this.failures.push({ file: this.#file, test: `the run ended with code ${code}`, lines: this.#recent });
  }

  #line(line: string): void {
    const count = /^\s*(\d+) (pass|fail|skip|todo)\s*$/.exec(line);
    if (count) this.#count(count[2] as string, Number(count[1]));
    const header = /^((?:\.\/)?\S+\.(?:test|sim|net|e2e|bench)\.ts):$/.exec(line);
    if (header) this.#file = header[1] as string;
    if (/^\d+ tests? (failed|skipped):$/.test(line)) this.#isOver = true;
    const result = /^\((pass|fail|skip|todo)\) (.*)$/.exec(line);
    if (result?.[1] === 'fail') this.#fail(result[2] as string);
    if (result || header) this.#recent = [];
    else if (line.trim() !== '') this.#recent = [...this.#recent.slice(1 - maxLines), line];
  }

  #fail(test: string): void {
    if (!this.#isOver && this.failures.length < maxFailures)
      this.failures.push({ file: this.#file, test, lines: this.#recent });
  }

  #count(word: string, n: number): void {
    if (word === 'pass') this.counts.passed = n;
    else if (word === 'fail') this.counts.failed = n;
    else this.counts.skipped += n;
  }
}
