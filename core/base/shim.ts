/**
 * A program of its own, one beside each container of the process runtime: `bun shim.ts FOLDER`. It starts what
 * FOLDER/run.json says, writes its output with times to FOLDER/log, serves attach on a socket and leaves the exit code
 * in FOLDER/exit.json. It outlives the kubelet, which finds everything again in these files.
 */
import { appendFileSync, closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { RootStep } from './root.ts';

export interface ShimRun {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
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

async function pump(
  stream: ReadableStream<Uint8Array>,
  name: 'stdout' | 'stderr',
  log: LogFile,
  live: (frame: Buffer) => void,
) {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const chunk of stream) {
    const head = Buffer.from([name === 'stderr' ? 2 : 1, 0, 0, 0, 0, 0, 0, 0]);
    head.writeUInt32BE(chunk.length, 4);
    live(Buffer.concat([head, chunk]));
    const bytes = rest.length ? Buffer.concat([rest, chunk]) : chunk;
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(10, at);
      if (end >= 0 && end - at <= lineBytesMax) {
        log.write(name, true, bytes.subarray(at, end));
        at = end + 1;
      } else if (bytes.length - at > lineBytesMax) {
        log.write(name, false, bytes.subarray(at, at + lineBytesMax));
        at += lineBytesMax;
      } else break;
    }
    rest = bytes.slice(at);
  }
  if (rest.length) log.write(name, false, rest);
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
  let child: Bun.Subprocess<'pipe' | 'ignore', 'pipe', 'pipe'>;
  try {
    if (run.root) {
      const { buildRoot } = await import('./root.ts');
      buildRoot(run.root.folder, run.root.steps, run.root.hostname);
    }
    child = Bun.spawn([...run.argv], {
      cwd: run.cwd,
      env: { ...run.env },
      stdin: run.stdin ? 'pipe' : 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      detached: true,
    });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    writeWhole(join(folder, 'exit.json'), { exitCode: 128, finishedAtMs: Date.now(), error: text } satisfies ShimExit);
    console.log(`error ${text.split('\n')[0]}`);
    return;
  }
  const status: ShimStatus = {
    pid: child.pid,
    startTicks: startTicksOf(child.pid),
    shimPid: process.pid,
    shimTicks: startTicksOf(process.pid),
    bootId: bootId(),
    startedAtMs: Date.now(),
  };
  writeWhole(join(folder, 'status.json'), status);
  const readers = new Set<Bun.Socket>();
  let server: { stop(): void } | undefined;
  const stdin = run.stdin ? (child.stdin as Bun.FileSink) : undefined;
  try {
    server = Bun.listen({
      unix: run.socketPath,
      allowHalfOpen: true,
      socket: {
        open: (socket) => void readers.add(socket),
        data(_socket, bytes) {
          stdin?.write(bytes);
          void stdin?.flush();
        },
        end: () => void (run.stdinOnce && stdin?.end()),
        close: (socket) => void readers.delete(socket),
      },
    });
  } catch {} // a path too long for a socket: attach says so, the container runs on
  const live = (frame: Buffer) => {
    for (const socket of readers) if (socket.write(frame) < frame.length) socket.end(); // a reader that lags is cut, never waited for
  };
  console.log('started');
  const pumps = Promise.all([pump(child.stdout, 'stdout', log, live), pump(child.stderr, 'stderr', log, live)]);
  await child.exited;
  const finishedAtMs = Date.now();
  try {
    process.kill(-child.pid, 'SIGKILL'); // what the program left behind ends with its container
  } catch {}
  await Promise.race([pumps, Bun.sleep(drainAfterExitMs)]);
  const signal = child.signalCode ? constants.signals[child.signalCode as NodeJS.Signals] : undefined;
  writeWhole(join(folder, 'exit.json'), {
    exitCode: signal ? 128 + signal : (child.exitCode ?? 255),
    finishedAtMs,
  } satisfies ShimExit);
  server?.stop();
  for (const socket of readers) socket.end();
  rmSync(run.socketPath, { force: true });
  process.exit(0);
}

if (import.meta.main) await main(process.argv.at(-1)!);
