import { connect, type Socket } from 'node:net';
import { signalGroup, spawnDuplex, spawnTerminal } from '#base';
import type { Session } from '#sdk';
import { bytePipe } from './byte-pipe.ts';
import { duplexSession } from './docker-sessions.ts';
import type { Command } from './process-command.ts';

/** A further program with the container's environment and folder. */
export function execSession(
  command: Command,
  options: { tty: boolean; stdin: boolean; signal?: AbortSignal },
): Session {
  return options.tty ? terminalSession(command, options) : pipeSession(command, options);
}

function pipeSession(command: Command, options: { stdin: boolean; signal?: AbortSignal }): Session {
  const child = spawnDuplex(command.argv, { cwd: command.cwd, env: command.env, onlyThisEnv: true, ownSession: true });
  if (!options.stdin) child.stdin.end();
  const close = () => void (signalGroup(child.pid, 'SIGKILL') || child.kill('SIGKILL'));
  options.signal?.addEventListener('abort', close, { once: true });
  return {
    ...(options.stdin && { stdin: child.stdin }),
    stdout: child.stdout,
    stderr: child.stderr,
    resize: async () => {},
    done: child.exited.then((code) => {
      options.signal?.removeEventListener('abort', close);
      return { code };
    }),
    close,
  };
}

function terminalSession(command: Command, options: { signal?: AbortSignal }): Session {
  const output = bytePipe(() => close());
  const child = spawnTerminal(command.argv, {
    cwd: command.cwd,
    env: { TERM: 'xterm', ...command.env },
    onData: (bytes) => output.push(bytes),
  });
  const close = () => void (signalGroup(child.pid, 'SIGKILL') || child.kill('SIGKILL'));
  options.signal?.addEventListener('abort', close, { once: true });
  return {
    stdin: { write: (bytes) => child.write(bytes), end: () => child.write(new Uint8Array([4])) }, // a terminal's end is ^D
    stdout: output.stream,
    resize: async (columns, rows) => child.resize(columns, rows),
    done: child.exited.then((code) => {
      options.signal?.removeEventListener('abort', close);
      output.end();
      return { code };
    }),
    close,
  };
}

/** The main program's streams; with a terminal its size is told on a socket beside. */
export async function attachSession(
  path: string,
  options: { tty: boolean; stdin: boolean; signal?: AbortSignal },
): Promise<Session> {
  const session = await socketSession({ path }, options);
  if (!options.tty) return session;
  return {
    ...session,
    resize: (columns, rows) =>
      new Promise((resolve) => {
        const socket = connect({ path: `${path}r` }, () => socket.end(`${columns} ${rows}\n`));
        socket.once('close', () => resolve()).once('error', () => resolve()); // the program has ended
      }),
  };
}

/** `path` is a socket's file, or host and port of a TCP listener. Rejects when nobody listens. */
export async function socketSession(
  target: { readonly path: string } | { readonly host: string; readonly port: number },
  options: { tty: boolean; stdin: boolean; signal?: AbortSignal },
): Promise<Session> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const made = connect({ ...target, allowHalfOpen: true });
    made.once('connect', () => resolve(made));
    made.once('error', reject);
  });
  return duplexSession(socket, { ...options, ended: async () => ({ code: 0 }), resize: async () => {} });
}
