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

/** A child whose pipes stay open. Bytes in, bytes out; stderr is dropped unless asked for. */
export interface DuplexChild {
  readonly pid: number;
  readonly stdin: { write(bytes: Uint8Array): void | Promise<void>; end(): void };
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  readonly exited: Promise<number>;
  kill(signal?: NodeJS.Signals): void;
}
/** Starts a program with open pipes. Throws when it cannot be started. */
export function spawnDuplex(
  argv: readonly string[],
  options: { readonly netns?: string; readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): DuplexChild {
  const child = Bun.spawn([...inNetns(argv, options.netns)], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
    ...(options.cwd ? { cwd: options.cwd } : {}),
    env: { ...process.env, ...options.env },
  });
  return {
    pid: child.pid,
    stdin: {
      async write(bytes) {
        child.stdin.write(bytes);
        await child.stdin.flush();
      },
      end: () => void child.stdin.end(),
    },
    stdout: child.stdout,
    stderr: child.stderr,
    exited: child.exited,
    kill: (signal) => child.kill(signal),
  };
}
/** The program that runs this one: Bun, for small children of our own. */
export const ownProgram = (): string => process.execPath;
/** The processor as Node names it (`x64`, `arm64`). */
export const ownArch = (): string => process.arch;
