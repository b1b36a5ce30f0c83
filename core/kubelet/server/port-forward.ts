import { type Clock, type Log, messageOf } from '#base';
import type { Session } from '#sdk';
import { SpdyConnection } from '../../wire/spdy.ts';
import { rstStatus } from '../../wire/spdy-frames.ts';
import type { SpdyStream } from '../../wire/spdy-stream.ts';
import { type KubeletSocket, type SocketSession, SocketWriter } from './socket.ts';

/** The subprotocol: SPDY frames carried in the binary messages of a WebSocket. */
export const portForwardTunnel = 'SPDY/3.1+portforward.k8s.io';
/** The same between apiserver and node, whose WebSocket client refuses a slash there. */
export const portForwardTunnelHop = 'SPDY-3.1+portforward.k8s.io';
const pairWaitMs = 30_000; // for the second stream of a pair

export interface PortForwardRequest {
  readonly pod: string;
  readonly podUid: string;
  dial(port: number, signal: AbortSignal): Promise<Session>;
}
interface Pair {
  data?: SpdyStream;
  error?: SpdyStream;
}

/** Port 1-65535 and which half of a pair; a sentence when the headers make no sense. */
export function readPortHeaders(
  stream: SpdyStream,
): { port: number; half: 'data' | 'error'; request: string } | string {
  const text = stream.header('port');
  if (!text) return '"port" header is required';
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) return `unable to parse "${text}" as a port`;
  if (port < 1) return `port "${text}" must be > 0`;
  const half = stream.header('streamtype');
  if (!half) return '"streamType" header is required';
  if (half !== 'data' && half !== 'error') return `invalid stream type "${half}"`;
  // Clients before request ids opened the error stream right before its data stream.
  const request = stream.header('requestid') || String(half === 'error' ? stream.id : stream.id - 2);
  return { port, half, request };
}

/** Any number of connections to ports of one pod, each a pair of streams (error, data) of one tunnelled SPDY connection. */
export class PortForwardSocket implements SocketSession {
  readonly #abort = new AbortController();
  readonly #pairs = new Map<string, Pair>();
  #connection: SpdyConnection | undefined;
  #writer: SocketWriter | undefined;

  constructor(
    readonly request: PortForwardRequest,
    readonly clock: Clock,
    readonly log: Log,
  ) {}

  open(socket: KubeletSocket): void {
    const writer = new SocketWriter(socket);
    this.#writer = writer;
    this.#connection = new SpdyConnection({
      role: 'server',
      write: (bytes) => writer.send(bytes),
      onStream: (stream) => this.#accept(stream),
      onPressure: (high) => (high ? socket.pause() : socket.resume()),
      onClose: (reason) => {
        if (reason) this.log.warn('port-forward connection ended', { pod: this.request.pod, error: reason.message });
        this.#abort.abort();
        socket.close(reason ? 1002 : 1000, reason?.message.slice(0, 100));
      },
    });
  }
  message(data: string | Uint8Array): void {
    if (typeof data === 'string') this.#connection?.close();
    else this.#connection?.feed(data);
  }
  drain(): void {
    this.#writer?.drain();
  }
  close(): void {
    this.#writer?.closed();
    this.#connection?.transportClosed();
    this.#abort.abort();
  }

  #accept(stream: SpdyStream): void {
    const headers = readPortHeaders(stream);
    if (typeof headers === 'string') {
      this.log.debug('port-forward stream refused', { why: headers });
      stream.reset(rstStatus.refusedStream);
      return;
    }
    stream.reply();
    const pair = this.#pairs.get(headers.request) ?? {};
    if (pair[headers.half]) {
      stream.reset(rstStatus.streamInUse);
      return;
    }
    pair[headers.half] = stream;
    if (pair.data && pair.error) {
      this.#pairs.delete(headers.request);
      void this.#forward(headers.port, pair.data, pair.error);
    } else {
      this.#pairs.set(headers.request, pair);
      void this.#expire(headers.request, pair);
    }
  }

  async #expire(request: string, pair: Pair): Promise<void> {
    await this.clock.sleep(pairWaitMs, this.#abort.signal);
    if (this.#pairs.get(request) !== pair) return;
    this.#pairs.delete(request);
    await pair.error?.write(Buffer.from(`request ${request}: timed out waiting for streams`));
    pair.data?.reset(rstStatus.cancel);
    pair.error?.reset(rstStatus.cancel);
  }

  async #forward(port: number, data: SpdyStream, error: SpdyStream): Promise<void> {
    let session: Session | undefined;
    try {
      session = await this.request.dial(port, this.#abort.signal);
      await joinPort(session, data);
      await Promise.all([data.end(), error.end()]);
    } catch (failure) {
      const { pod, podUid } = this.request;
      const text = `error forwarding port ${port} to pod ${pod}, uid ${podUid}: ${messageOf(failure)}`;
      if (!this.#abort.signal.aborted) this.log.warn(text);
      await error.write(Buffer.from(text));
      await error.end();
      data.reset(rstStatus.internalError);
    } finally {
      session?.close();
      data.incoming.cancel();
      error.incoming.cancel();
    }
  }
}

/** The client's half of a forwarded connection. */
export interface PortData {
  readonly incoming: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
}

/** Both directions of one connection; ends when the pod's side has ended. Rejects when the client resets the stream. */
export async function joinPort(session: Session, data: PortData): Promise<void> {
  const upstream = (async () => {
    for await (const bytes of data.incoming) await session.stdin?.write(bytes);
    session.stdin?.end();
  })();
  const downstream = (async () => {
    for await (const bytes of session.stdout) await data.write(bytes);
  })();
  // Not both: a pod that has closed the connection does not wait for what the client may still send.
  await Promise.race([downstream, upstream.then(() => downstream)]);
}
