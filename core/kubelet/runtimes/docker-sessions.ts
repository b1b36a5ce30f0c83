import type { Duplex } from 'node:stream';
import type { Session } from '#sdk';
import { bytePipe } from './byte-pipe.ts';
import { frameReader } from './docker-streams.ts';

/** A hijacked connection as a Session. `ended` is asked for the exit code once the engine has closed its side. */
export function duplexSession(
  duplex: Duplex,
  options: {
    readonly tty: boolean;
    readonly stdin: boolean;
    readonly signal?: AbortSignal;
    ended(): Promise<{ code: number }>;
    /** `over()` turns true when the program has ended. */
    resize(columns: number, rows: number, over: () => boolean): Promise<void>;
  },
): Session {
  const resume = () => duplex.resume();
  const stdout = bytePipe(() => duplex.destroy(), resume);
  const stderr = options.tty ? undefined : bytePipe(undefined, resume);
  const read = options.tty ? undefined : frameReader();
  const closed = Promise.withResolvers<void>();
  const close = () => duplex.destroy();
  duplex.on('data', (chunk: Uint8Array) => {
    try {
      if (!read) stdout.push(chunk);
      else for (const frame of read(chunk)) (frame.stream === 'stderr' ? stderr! : stdout).push(frame.bytes);
    } catch {
      duplex.destroy();
      return;
    }
    if (stdout.room() <= 0 || (stderr && stderr.room() <= 0)) duplex.pause(); // a reader that lags slows the program down
  });
  for (const name of ['end', 'close', 'error'] as const) duplex.on(name, () => closed.resolve());
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
            if (duplex.destroyed || duplex.writableEnded) return resolve(); // the program is gone: like a pipe nobody reads
            duplex.write(bytes, (error) => (error && !duplex.destroyed ? reject(error) : resolve()));
          }),
        end: () => void duplex.end(),
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
