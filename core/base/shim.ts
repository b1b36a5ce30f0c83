/**
 * A program of its own, one beside each container of the process runtime: `bun shim.ts FOLDER`. It starts what
 * FOLDER/run.json says, writes its output with times to FOLDER/log, serves attach on a socket and leaves the exit code
 * in FOLDER/exit.json. It outlives the kubelet, which finds everything again in these files.
 */
import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { RootStep } from './root.ts';

export interface ShimRun {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  /** Its main program has a terminal; `SOCKETr` takes lines `COLUMNS ROWS`. */
  readonly tty: boolean;
  readonly socketPath: string;
  /** This program runs in a mount namespace of its own and makes this root in it first; `argv` then enters it. */
  readonly root?: { readonly folder: string; readonly steps: readonly RootStep[]; readonly hostname: string };
}
export interface ShimStatus {
  readonly pid: number;
  readonly startTicks: number;
  readonly shimPid: number;
  readonly shimTicks: number;
  readonly bootId: string;
  readonly startedAtMs: number;
}
export interface ShimExit {
  readonly exitCode: number;
  readonly finishedAtMs: number;
  readonly error?: string;
}
const logBytesMax = 10 * 1024 * 1024; // then it becomes log.1, which replaces the former one: 20 MB for each container
const lineBytesMax = 16 * 1024; // longer lines are cut, as container engines do
const enterMsMax = 20_000; // a bound for what would never come; it takes a millisecond
const drainAfterExitMs = 500; // a grandchild may hold the pipes open

/** Field 22 of /proc/PID/stat: when the process started, in clock ticks since boot. 0 when it is gone or only a zombie. */
export function startTicksOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 0 : Number(fields[19]);
  } catch {
    return 0;
  }
}
export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

function writeWhole(path: string, value: object): void {
  writeFileSync(`${path}.new`, JSON.stringify(value));
  renameSync(`${path}.new`, path);
}

class LogFile {
  #bytes = 0;
  constructor(readonly path: string) {}
  write(stream: string, full: boolean, bytes: Uint8Array): void {
    const head = `${new Date().toISOString().replace('Z', '000000Z')} ${stream} ${full ? 'F' : 'P'} `;
    const line = Buffer.concat([Buffer.from(head), bytes, Buffer.from('\n')]);
    if (this.#bytes + line.length > logBytesMax) {
      renameSync(this.path, `${this.path}.1`);
      this.#bytes = 0;
    }
    appendFileSync(this.path, line);
    this.#bytes += line.length;
  }
}

/** Cuts one stream into lines of the log. */
class LineLog {
  #rest: Uint8Array = new Uint8Array(0);
  constructor(
    readonly log: LogFile,
    readonly name: 'stdout' | 'stderr',
  ) {}

  feed(chunk: Uint8Array): void {
    const bytes = this.#rest.length ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(10, at);
      if (end >= 0 && end - at <= lineBytesMax) {
        this.log.write(this.name, true, bytes.subarray(at, end));
        at = end + 1;
      } else if (bytes.length - at > lineBytesMax) {
        this.log.write(this.name, false, bytes.subarray(at, at + lineBytesMax));
        at += lineBytesMax;
      } else break;
    }
    this.#rest = bytes.slice(at);
  }
  end(): void {
    if (this.#rest.length) this.log.write(this.name, false, this.#rest);
    this.#rest = new Uint8Array(0);
  }
}

/** The container's program: what it says goes to `said`; its input and the size of its terminal can be set. */
interface Program {
  readonly child: Bun.Subprocess;
  readonly drained: Promise<unknown>;
  input(bytes: Uint8Array): void;
  endInput(): void;
  resize(columns: number, rows: number): void;
}
type Said = (name: 'stdout' | 'stderr', chunk: Uint8Array) => void;

function startWithPipes(run: ShimRun, said: Said): Program {
  const child = Bun.spawn([...run.argv], {
    cwd: run.cwd,
    env: { ...run.env },
    stdin: run.stdin ? 'pipe' : 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    detached: true,
  });
  const stdin = run.stdin ? (child.stdin as Bun.FileSink) : undefined;
  const pump = async (name: 'stdout' | 'stderr') => {
    for await (const chunk of child[name]) said(name, chunk);
  };
  return {
    child,
    drained: Promise.all([pump('stdout'), pump('stderr')]),
    input(bytes) {
      stdin?.write(bytes);
      void stdin?.flush();
    },
    endInput: () => void stdin?.end(),
    resize: () => {},
  };
}

function startOnTerminal(run: ShimRun, said: Said): Program {
  const drained = Promise.withResolvers<void>();
  const child = Bun.spawn([...run.argv], {
    cwd: run.cwd,
    env: { TERM: 'xterm', ...run.env },
    detached: true,
    terminal: {
      cols: 80,
      rows: 24,
      data: (_terminal, bytes) => said('stdout', new Uint8Array(bytes)),
      exit: () => drained.resolve(),
    },
  });
  return {
    child,
    drained: drained.promise,
    input: (bytes) => void (run.stdin && child.terminal?.write(bytes)),
    endInput: () => {}, // a terminal has no end; the program reads ^D
    resize: (columns, rows) => child.terminal?.resize(columns, rows),
  };
}

/** Lets attach sessions in. Frames as container engines write them (kind, length, bytes), or plain bytes of a terminal. */
class AttachServer {
  readonly #readers = new Set<Bun.Socket>();
  readonly #servers: { stop(): void }[] = [];
  constructor(readonly run: ShimRun) {}

  live(name: 'stdout' | 'stderr', chunk: Uint8Array): void {
    const head = Buffer.from([name === 'stderr' ? 2 : 1, 0, 0, 0, 0, 0, 0, 0]);
    head.writeUInt32BE(chunk.length, 4);
    const frame = this.run.tty ? chunk : Buffer.concat([head, chunk]);
    for (const socket of this.#readers) if (socket.write(frame) < frame.length) socket.end(); // a reader that lags is cut, never waited for
  }

  listen(program: Program): void {
    const { socketPath, stdinOnce, tty } = this.run;
    try {
      const server = Bun.listen({
        unix: socketPath,
        allowHalfOpen: true,
        socket: {
          open: (socket) => void this.#readers.add(socket),
          data: (_socket, bytes) => program.input(new Uint8Array(bytes)),
          end: () => void (stdinOnce && program.endInput()),
          close: (socket) => void this.#readers.delete(socket),
        },
      });
      this.#servers.push(server);
      if (!tty) return;
      const sizes = Bun.listen({
        unix: `${socketPath}r`,
        socket: {
          data(_socket, bytes) {
            const [columns, rows] = String(bytes).trim().split('\n').at(-1)!.split(' ').map(Number);
            if (columns! > 0 && rows! > 0) program.resize(columns!, rows!);
          },
        },
      });
      this.#servers.push(sizes);
    } catch {} // a path too long for a socket: attach says so, the container runs on
  }

  close(): void {
    for (const server of this.#servers) server.stop();
    for (const socket of this.#readers) socket.end();
    for (const path of [this.run.socketPath, `${this.run.socketPath}r`]) rmSync(path, { force: true });
  }
}

async function start(run: ShimRun, said: Said): Promise<Program> {
  if (run.root) {
    const { buildRoot } = await import('./root.ts');
    buildRoot(run.root.folder, run.root.steps, run.root.hostname);
  }
  return run.tty ? startOnTerminal(run, said) : startWithPipes(run, said);
}

/**
 * Resolves when the program has entered its own root, or has ended. Before, it has not begun, and what is executed beside it
 * would go by its root into the host's.
 */
async function inItsRoot({ pid }: Bun.Subprocess): Promise<void> {
  for (const end = performance.now() + enterMsMax; performance.now() < end; await Bun.sleep(1))
    try {
      if (readlinkSync(`/proc/${pid}/root`) !== '/' || startTicksOf(pid) === 0) return;
    } catch {
      return; // it has ended, or is a program already that may not be looked into
    }
}

async function main(folder: string): Promise<void> {
  try {
    closeSync(openSync(join(folder, 'claim'), 'wx')); // a second shim for the same container ends here
  } catch {
    console.log('claimed');
    return;
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
  const run = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as ShimRun;
  const log = new LogFile(join(folder, 'log'));
  appendFileSync(log.path, '');
  const lines = { stdout: new LineLog(log, 'stdout'), stderr: new LineLog(log, 'stderr') };
  const attach = new AttachServer(run);
  let program: Program;
  try {
    program = await start(run, (name, chunk) => {
      attach.live(name, chunk);
      lines[name].feed(chunk);
    });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    writeWhole(join(folder, 'exit.json'), { exitCode: 128, finishedAtMs: Date.now(), error: text } satisfies ShimExit);
    console.log(`error ${text.split('\n')[0]}`);
    return;
  }
  const { child } = program;
  if (run.root) await inItsRoot(child);
  writeWhole(join(folder, 'status.json'), {
    pid: child.pid,
    startTicks: startTicksOf(child.pid),
    shimPid: process.pid,
    shimTicks: startTicksOf(process.pid),
    bootId: bootId(),
    startedAtMs: Date.now(),
  } satisfies ShimStatus);
  attach.listen(program);
  console.log('started');
  await child.exited;
  const finishedAtMs = Date.now();
  try {
    process.kill(-child.pid, 'SIGKILL'); // what the program left behind ends with its container
  } catch {}
  await Promise.race([program.drained, Bun.sleep(drainAfterExitMs)]);
  lines.stdout.end();
  lines.stderr.end();
  const signal = child.signalCode ? constants.signals[child.signalCode as NodeJS.Signals] : undefined;
  writeWhole(join(folder, 'exit.json'), {
    exitCode: signal ? 128 + signal : (child.exitCode ?? 255),
    finishedAtMs,
  } satisfies ShimExit);
  attach.close();
  process.exit(0);
}

if (import.meta.main) await main(process.argv.at(-1)!);
