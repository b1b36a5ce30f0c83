/** Child processes: the only door to them. Argument vectors, never a shell. */
export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
export interface ExecOptions {
  readonly stdin?: string;
  /** Path of a network namespace to run in, such as /run/netns/h1 or /proc/PID/ns/net. */
  readonly netns?: string;
  /** Default 30,000. The child gets SIGKILL then and `code` is 124. */
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}
export interface Exec {
  /** Never throws for a failing command; a program that cannot be started gives code 127. */
  run(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
}

export const inNetns = (argv: readonly string[], netns?: string): readonly string[] =>
  netns ? ['nsenter', `--net=${netns}`, '--', ...argv] : argv;

export const systemExec: Exec = {
  async run(argv, options = {}) {
    let timedOut = false;
    try {
      const child = Bun.spawn([...inNetns(argv, options.netns)], {
        stdin: options.stdin === undefined ? 'ignore' : new TextEncoder().encode(options.stdin),
        stdout: 'pipe',
        stderr: 'pipe',
        env: options.env ? { ...process.env, ...options.env } : process.env,
      });
      const timer = setTimeout(() => {
        timedOut = true;
        child.kill('SIGKILL');
      }, options.timeoutMs ?? 30_000);
      const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
      clearTimeout(timer);
      return { code: timedOut ? 124 : code, stdout, stderr: timedOut ? `${stderr}timed out` : stderr };
    } catch (error) {
      return { code: 127, stdout: '', stderr: error instanceof Error ? error.message : String(error) };
    }
  },
};
