import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { EngineError } from './docker-engine.ts';

const headBytesMax = 64 * 1024;

/**
 * POSTs to the engine and takes the connection over: what follows the answer's head is the program's. Written by hand because
 * a client library sends its options as a body too, or a chunk's end, and Podman takes either for the program's input.
 * Throws EngineError when the engine refuses.
 */
export async function hijack(socketPath: string, path: string, body?: object, signal?: AbortSignal): Promise<Duplex> {
  const text = body ? JSON.stringify(body) : '';
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: tcp',
    ...(body ? ['Content-Type: application/json'] : []),
    `Content-Length: ${Buffer.byteLength(text)}`,
  ];
  const socket = connect({ path: socketPath, allowHalfOpen: true });
  const abort = () => socket.destroy(new Error('aborted'));
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  try {
    socket.write(`${head.join('\r\n')}\r\n\r\n${text}`);
    await answerHead(socket);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** Resolves when the head says yes; what came after it is put back. */
function answerHead(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let read: Buffer = Buffer.alloc(0);
    const leave = () => {
      for (const [name, listener] of listeners) socket.off(name, listener);
    };
    const settle = (error?: Error) => {
      leave();
      if (error) reject(error);
      else resolve();
    };
    const onData = (chunk: Buffer) => {
      read = Buffer.concat([read, chunk]);
      const answer = parseAnswer(read);
      if (answer === 'more') {
        if (read.length > headBytesMax) settle(new Error('the container engine answered with a head without end'));
        return;
      }
      if (answer.status !== 101 && answer.status !== 200) return settle(refusal(answer.status, answer.text));
      socket.pause();
      leave();
      if (answer.rest.length > 0) socket.unshift(answer.rest);
      resolve();
    };
    const onEnd = () => settle(new Error('the container engine closed the connection without an answer'));
    const listeners = [
      ['data', onData],
      ['end', onEnd],
      ['close', onEnd],
      ['error', (error: Error) => settle(error)],
    ] as const satisfies readonly (readonly [string, (given: never) => void])[];
    for (const [name, listener] of listeners) socket.on(name, listener as (given?: unknown) => void);
  });
}

/** `more` until the head is whole, and with a refusal its text of the told length too. */
export function parseAnswer(bytes: Buffer): 'more' | { status: number; text: string; rest: Buffer } {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return 'more';
  const head = bytes.subarray(0, end).toString('latin1');
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0);
  const rest = bytes.subarray(end + 4);
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  if (status !== 101 && status !== 200 && rest.length < Math.min(length, headBytesMax)) return 'more';
  return { status, text: rest.subarray(0, length).toString(), rest };
}

function refusal(status: number, text: string): EngineError {
  try {
    return new EngineError(status, JSON.parse(text) as { message?: string }, text);
  } catch {
    return new EngineError(status, undefined, text || `the container engine answered ${status}`);
  }
}
