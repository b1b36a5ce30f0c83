import type { ServerWebSocket } from 'bun';
import type { Clock } from '#base';

/** What a WebSocket of this server is for; set before the upgrade. */
export interface SocketSession {
  open(socket: KubeletSocket): void;
  message(data: string | Uint8Array): void;
  drain(): void;
  close(): void;
}
export type KubeletSocket = ServerWebSocket<SocketSession>;

/** Above it the socket's writer waits for `drain`. */
export const socketHighBytes = 512 * 1024;

/** Writes in order and lets the writer wait while the client is slow. */
export class SocketWriter {
  #waiting: (() => void)[] = [];
  #closed = false;

  constructor(readonly socket: KubeletSocket) {}

  /** Resolves when the socket holds less than its bound, or is gone. */
  async send(data: string | Uint8Array<ArrayBufferLike>): Promise<void> {
    if (this.#closed) return;
    this.socket.send(data as string | Uint8Array<ArrayBuffer>);
    while (!this.#closed && this.socket.getBufferedAmount() > socketHighBytes)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  drain(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
  closed(): void {
    this.#closed = true;
    this.drain();
  }
}

/** Waits for `done`, at most `ms`: what a dead engine never answers must not keep a socket for ever. */
export async function within<T>(done: Promise<T>, ms: number, clock: Clock): Promise<T | undefined> {
  const stop = new AbortController();
  try {
    return await Promise.race([done, clock.sleep(ms, stop.signal).then(() => undefined)]);
  } finally {
    stop.abort();
  }
}
