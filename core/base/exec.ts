import { readdirSync } from 'node:fs';
import { setPriority } from 'node:os';

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
  /** Our end of the socket pair whose other end is the child's descriptor 3; whoever opens it closes it. */
  readonly channelFd?: number;
  kill(signal?: NodeJS.Signals): void;
}
/** Starts a program with open pipes. Throws when it cannot be started. */
export function spawnDuplex(
  argv: readonly string[],
  options: {
    readonly netns?: string;
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    /** The child sees nothing of this process's own environment. */
    readonly onlyThisEnv?: boolean;
    /** It leads a session of its own, so that a signal to its group reaches what it started. */
    readonly ownSession?: boolean;
    /** A socket pair beside the pipes. */
    readonly channel?: boolean;
  } = {},
): DuplexChild {
  const child = Bun.spawn([...inNetns(argv, options.netns)], {
    stdio: ['pipe', 'pipe', 'pipe', ...(options.channel ? (['pipe'] as const) : [])],
    ...(options.cwd ? { cwd: options.cwd } : {}),
    detached: options.ownSession ?? false,
    env: options.onlyThisEnv ? { ...options.env } : { ...process.env, ...options.env },
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
    ...(options.channel ? { channelFd: Number(child.stdio[3]) } : {}),
    kill: (signal) => child.kill(signal),
  };
}
/** How willingly a process steps back for others: 0 as all, up to 19. What may not be set stays. */
export function setNiceness(pid: number, niceness: number): void {
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), niceness); // each has its own
  } catch {} // it has gone, or raising it again needs root
}
/** The program that runs this one: Bun, for small children of our own. */
export const ownProgram = (): string => process.execPath;
/** The processor as Node names it (`x64`, `arm64`). */
export const ownArch = (): string => process.arch;

/**
 * Starts a program in a session of its own that outlives this process. Resolves to the first line it prints (without
 * its newline; empty when it ends before); `exited` settles only while this process lives.
 */
export async function spawnDetached(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly pid: number; readonly firstLine: string; readonly exited: Promise<number> }> {
  const child = Bun.spawn([...argv], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'ignore',
    detached: true,
    env: { ...process.env, ...env },
  });
  child.unref();
  const reader = child.stdout.getReader();
  let text = '';
  while (!text.includes('\n')) {
    const { done, value } = await reader.read();
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  void reader.cancel();
  return { pid: child.pid, firstLine: text.split('\n')[0]!, exited: child.exited };
}

/** A child on a terminal of its own. */
export interface TerminalChild {
  readonly pid: number;
  write(bytes: Uint8Array): void;
  resize(columns: number, rows: number): void;
  readonly exited: Promise<number>;
  kill(signal?: NodeJS.Signals): void;
}
export function spawnTerminal(
  argv: readonly string[],
  options: { readonly cwd?: string; readonly env: Readonly<Record<string, string>>; onData(bytes: Uint8Array): void },
): TerminalChild {
  const child = Bun.spawn([...argv], {
    ...(options.cwd ? { cwd: options.cwd } : {}),
    env: { ...options.env },
    terminal: { cols: 80, rows: 24, data: (_terminal, bytes) => options.onData(new Uint8Array(bytes)) },
  });
  return {
    pid: child.pid,
    write: (bytes) => void child.terminal?.write(bytes),
    resize: (columns, rows) => child.terminal?.resize(columns, rows),
    exited: child.exited,
    kill: (signal) => child.kill(signal),
  };
}

/** Signals a whole process group; false when there is none. */
export function signalGroup(leaderPid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-leaderPid, signal);
    return true;
  } catch {
    return false;
  }
}
/** Signals one process; false when there is none. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}
/** The user this process runs as. */
export const ownUserId = (): number => process.getuid?.() ?? -1;
/** Its own group first, then the further ones. */
export const ownGroupIds = (): readonly number[] => [process.getgid?.() ?? -1, ...(process.getgroups?.() ?? [])];
/** Where a program is that the user of this process would find by its name. */
export const programOnPath = (name: string): string | undefined =>
  Bun.which(name, { PATH: process.env['PATH'] ?? '' }) ?? undefined;
/** Where a program of this machine is; the folders of administrators are looked through too. */
export const programPath = (name: string): string | undefined =>
  Bun.which(name, { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }) ?? undefined;
