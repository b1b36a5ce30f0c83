import { type Clock, type Log, messageOf } from '#base';
import type { StreamSession, StreamSocket } from '../contract.ts';
import { tlsOf } from './fetch-direct.ts';

/** A client's socket; ServerWebSocket can also stop reading. Without it a client that outruns the backend is cut. */
type Pausable = StreamSocket & { pause?(): void; resume?(): void };

const highBytes = 1024 * 1024; // unsent in one direction: the sender is paused
const overflowBytes = 32 * 1024 * 1024; // a sender that cannot be paused is cut
const openWaitMs = 10_000;
const drainPollMs = 5; // a client WebSocket has no drain event

export interface Backend {
  readonly socket: WebSocket;
  readonly protocol: string;
  /** Messages that came before the client's socket was open. */
  readonly early: (string | Uint8Array)[];
}

/** Connects to the backend; undefined when it does not answer with an upgrade. */
export async function connectBackend(
  url: string,
  options: {
    readonly protocols: readonly string[];
    readonly headers: Readonly<Record<string, string>>;
    readonly ca?: string;
    readonly serverName?: string;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<Backend | undefined> {
  const socket = new WebSocket(url, {
    protocols: options.protocols.map(toHop),
    headers: { ...options.headers },
    perMessageDeflate: false,
    tls: tlsOf(options),
  });
  socket.binaryType = 'nodebuffer';
  const early: (string | Uint8Array)[] = [];
  socket.onmessage = ({ data }) => early.push(data as string | Uint8Array);
  const stop = new AbortController();
  const opened = await Promise.race([
    new Promise<boolean>((resolve) => {
      socket.onopen = () => {
        (socket as unknown as { pause(): void }).pause(); // until the client's socket is there
        resolve(true);
      };
      socket.onerror = () => resolve(false);
      socket.onclose = () => resolve(false);
    }),
    options.clock.sleep(openWaitMs, AbortSignal.any([stop.signal, options.signal])).then(() => false),
  ]);
  stop.abort();
  if (opened) return { socket, protocol: fromHop(socket.protocol), early };
  socket.terminate();
  return undefined;
}

/**
 * Between apiserver and kubelet SPDY/3.1+… is called SPDY-3.1+…: a slash is no token character, and Bun's WebSocket client
 * refuses what is none. Nodes accept both names.
 */
const toHop = (protocol: string): string => protocol.replace('SPDY/3.1+', 'SPDY-3.1+');
const fromHop = (protocol: string): string => protocol.replace('SPDY-3.1+', 'SPDY/3.1+');

/**
 * Carries messages verbatim both ways; nothing is read into them. Each side is paused while the other holds more than 1 MiB
 * unsent. A close travels with its code; a side that vanishes is 1011 for the other (or 1001 when the client went).
 */
export class Relay implements StreamSession {
  #client: Pausable | undefined;
  #clientPaused = false;
  #backendPaused = true;
  #over = false;

  constructor(
    readonly backend: Backend,
    readonly clock: Clock,
    readonly log: Log,
  ) {
    backend.socket.onclose = ({ code, reason }) => this.#backendClosed(code, reason);
    backend.socket.onerror = () => this.#backendClosed(1006, '');
  }

  open(socket: StreamSocket): void {
    this.#client = socket;
    if (this.#over) {
      socket.close(1011, 'the node closed the connection');
      return;
    }
    for (const data of this.backend.early.splice(0)) this.#toClient(data);
    this.backend.socket.onmessage = ({ data }) => this.#toClient(data as string | Uint8Array);
    if (socket.getBufferedAmount() <= highBytes) this.#resumeBackend();
  }

  message(socket: StreamSocket, data: string | Uint8Array): void {
    if (this.#over) return;
    const backend = this.backend.socket;
    backend.send(data as string | Uint8Array<ArrayBuffer>);
    if (backend.bufferedAmount <= highBytes) return;
    if (backend.bufferedAmount > overflowBytes)
      this.#end(socket, 1009, 'the container does not read as fast as this is sent');
    else if (!this.#clientPaused) void this.#holdClient(socket);
  }
  drain(): void {
    this.#resumeBackend();
  }
  close(_socket: StreamSocket, code: number, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#resumeBackend(); // a paused socket does not see the other side's close
    try {
      this.backend.socket.close(code === 1000 || (code >= 3000 && code < 5000) ? code : 1001, reason);
    } catch (error) {
      this.log.debug('closing the backend failed', { error: messageOf(error) });
      this.backend.socket.terminate();
    }
  }

  #toClient(data: string | Uint8Array): void {
    const client = this.#client;
    if (!client || this.#over) return;
    client.send(data);
    const held = client.getBufferedAmount();
    if (held > overflowBytes) this.#end(client, 1013, 'the client does not read');
    else if (held > highBytes && !this.#backendPaused) {
      this.#backendPaused = true;
      (this.backend.socket as unknown as { pause(): void }).pause();
    }
  }
  #resumeBackend(): void {
    if (!this.#backendPaused) return;
    this.#backendPaused = false;
    (this.backend.socket as unknown as { resume(): void }).resume();
  }
  async #holdClient(socket: Pausable): Promise<void> {
    if (!socket.pause || !socket.resume) return;
    this.#clientPaused = true;
    socket.pause();
    while (!this.#over && this.backend.socket.bufferedAmount > highBytes / 2) await this.clock.sleep(drainPollMs);
    this.#clientPaused = false;
    socket.resume();
  }
  #backendClosed(code: number, reason: string): void {
    if (this.#over || !this.#client) {
      this.#over = true;
      return;
    }
    const sendable = code === 1000 || (code >= 1001 && code <= 1003) || (code >= 1007 && code <= 1014) || code >= 3000;
    this.#over = true;
    this.#client.close(sendable ? code : 1011, reason);
  }
  #end(client: StreamSocket, code: number, reason: string): void {
    this.#over = true;
    client.close(code, reason);
    this.backend.socket.terminate();
  }
}
