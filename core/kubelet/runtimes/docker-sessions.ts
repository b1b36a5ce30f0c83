import type { Duplex } from 'node:stream';
import type { Clock } from '#base';
import type { Session } from '#sdk';
import { bytePipe } from './byte-pipe.ts';
import type { DockerEngine } from './docker-engine.ts';
import type { Attachment, HeldAttachments } from './docker-held.ts';
import { hijack } from './docker-hijack.ts';
import { isStatus } from './docker-images.ts';
import { frameReader } from './docker-streams.ts';

const ends = ['end', 'close', 'error'] as const;

/** A hijacked connection as a Session. `ended` is asked for the exit code once the engine has closed its side. */
export function duplexSession(
  duplex: Duplex,
  options: {
    readonly tty: boolean;
    readonly stdin: boolean;
    readonly signal?: AbortSignal;
    /** Of a connection that was in use before. */
    readonly frames?: Attachment['frames'];
    /** Takes the connection over when this session leaves it; absent: it closes. */
    keep?(attachment: Attachment): void;
    ended(): Promise<{ code: number }>;
    /** `over()` turns true when the program has ended. */
    resize(columns: number, rows: number, over: () => boolean): Promise<void>;
  },
): Session {
  const resume = () => duplex.resume();
  const stdout = bytePipe(() => duplex.destroy(), resume);
  const stderr = options.tty ? undefined : bytePipe(undefined, resume);
  const read = options.tty ? undefined : (options.frames ?? frameReader());
  const closed = Promise.withResolvers<void>();
  const close = () => {
    if (!options.keep || duplex.destroyed || duplex.writableEnded || over) return void duplex.destroy();
    duplex.off('data', onData);
    for (const name of ends) duplex.off(name, onEnd);
    closed.resolve();
    options.keep({ duplex, frames: read });
  };
  const onEnd = () => closed.resolve();
  const onData = (chunk: Uint8Array) => {
    try {
      if (!read) stdout.push(chunk);
      else for (const frame of read(chunk)) (frame.stream === 'stderr' ? stderr! : stdout).push(frame.bytes);
    } catch {
      duplex.destroy();
      return;
    }
    if (stdout.room() <= 0 || (stderr && stderr.room() <= 0)) duplex.pause(); // a reader that lags slows the program down
  };
  duplex.on('data', onData);
  for (const name of ends) duplex.on(name, onEnd);
  options.signal?.addEventListener('abort', close, { once: true });
  let over = false;
  const done = closed.promise.then(async () => {
    over = true;
    options.signal?.removeEventListener('abort', close);
    stdout.end();
    stderr?.end();
    return options.ended();
  });
  done.catch(() => {}); // whoever reads `done` sees it; nobody reading is no crash
  return {
    ...(options.stdin && {
      stdin: {
        write: (bytes: Uint8Array) =>
          new Promise<void>((resolve, reject) => {
            if (duplex.destroyed || duplex.writableEnded || over) return resolve(); // the program is gone: like a pipe nobody reads
            duplex.write(bytes, (error) => (error && !duplex.destroyed ? reject(error) : resolve()));
          }),
        end: () => void (over || duplex.end()),
      },
    }),
    stdout: stdout.stream,
    ...(stderr && { stderr: stderr.stream }),
    resize: async (columns, rows) => {
      if (!over) await options.resize(columns, rows, () => over);
    },
    done,
    close,
  };
}

export async function execSession(
  engine: DockerEngine,
  clock: Clock,
  containerId: string,
  options: { command: readonly string[]; tty: boolean; stdin: boolean; signal?: AbortSignal },
): Promise<Session> {
  const { Id } = await engine.call<{ Id: string }>('POST', `/containers/${containerId}/exec`, {
    body: {
      Cmd: [...options.command],
      AttachStdin: options.stdin,
      AttachStdout: true,
      AttachStderr: true,
      Tty: options.tty,
    },
  });
  const start = { Detach: false, Tty: options.tty };
  const duplex = await hijack(engine.socketPath, `/exec/${Id}/start`, start, options.signal);
  return duplexSession(duplex, {
    ...options,
    ended: () => exitCode(clock, () => engine.call('GET', `/exec/${Id}/json`)),
    resize: (columns, rows, over) => resize(clock, sizeSender(engine, `/exec/${Id}`, columns, rows), over),
  });
}

export async function attachSession(
  engine: DockerEngine,
  clock: Clock,
  containerId: string,
  options: { tty: boolean; stdin: boolean; signal?: AbortSignal; held?: HeldAttachments },
): Promise<Session> {
  const path = `/containers/${containerId}`;
  const streams = `stream=1&stdin=${options.stdin ? 1 : 0}&stdout=1&stderr=1`;
  const { held, signal } = options;
  const key = `${containerId}/${options.stdin}`;
  const former = held?.take(key);
  const duplex = former?.duplex ?? (await hijack(engine.socketPath, `${path}/attach?${streams}`, undefined, signal));
  return duplexSession(duplex, {
    ...options,
    frames: former?.frames,
    ...(held && { keep: (attachment) => held.keep(key, attachment) }),
    ended: async () => ({ code: 0 }),
    resize: (columns, rows, over) => resize(clock, sizeSender(engine, path, columns, rows), over),
  });
}
const sizeSender = (engine: DockerEngine, path: string, columns: number, rows: number) => () =>
  engine.call('POST', `${path}/resize`, { query: { w: columns, h: rows } });

/** The stream may close a moment before the engine has noted the end. */
async function exitCode(
  clock: Clock,
  inspect: () => Promise<{ Running: boolean; ExitCode: number | null }>,
): Promise<{ code: number }> {
  for (let tries = 0; tries < 50; tries++) {
    const state = await inspect();
    if (!state.Running) return { code: state.ExitCode ?? 0 };
    await clock.sleep(Math.min(200, 5 * 2 ** tries));
  }
  return { code: 137 }; // the caller went away while the program ran on
}

/** A terminal's size is often sent before the engine has started the program; after its end it does not matter. */
async function resize(clock: Clock, send: () => Promise<unknown>, over: () => boolean): Promise<void> {
  for (let tries = 0; tries < 10 && !over(); tries++) {
    try {
      await send();
      return;
    } catch (error) {
      if (!isStatus(error, 404, 409, 500)) throw error;
      await clock.sleep(20 * (tries + 1));
    }
  }
}
