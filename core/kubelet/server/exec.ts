import { type Clock, type Log, messageOf } from '#base';
import type { Session } from '#sdk';
import { ByteQueue } from '../../wire/byte-queue.ts';
import {
  type ChannelProtocol,
  channel,
  decodeChannelMessage,
  encodeChannelMessage,
  parseResize,
} from '../../wire/websocket-channels.ts';
import { errorPayload, exitStatus, internalStatus, type StreamStatus, successStatus } from './exec-status.ts';
import { type KubeletSocket, type SocketSession, SocketWriter, within } from './socket.ts';

/** Which of the standard streams the caller wants. */
export interface StreamOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}
export interface ExecRequest {
  readonly protocol: ChannelProtocol;
  readonly streams: StreamOptions;
  readonly kind: 'exec' | 'attach';
  /** Starts it in the runtime. */
  start(signal: AbortSignal): Promise<Session>;
}

const stdinHighBytes = 512 * 1024;
const exitWaitMs = 10_000; // between the end of the output and the exit code

/** `you must specify …` when nothing is asked for. A terminal has no stderr of its own. */
export function parseStreams(query: URLSearchParams): StreamOptions | string {
  const wanted = (name: string) => ['1', 'true'].includes(query.get(name) ?? '');
  const tty = wanted('tty');
  const streams = { stdin: wanted('input'), stdout: wanted('output'), stderr: wanted('error') && !tty, tty };
  if (!streams.stdin && !streams.stdout && !streams.stderr)
    return 'you must specify at least 1 of stdin, stdout, stderr';
  return streams;
}

/** Runs one exec or attach over one WebSocket; every direction waits for the slower side. */
export class ExecSocket implements SocketSession {
  readonly #abort = new AbortController();
  #stdin: ByteQueue | undefined;
  #writer: SocketWriter | undefined;
  #session: Session | undefined;
  #size: { columns: number; rows: number } | undefined;
  #paused = false;

  constructor(
    readonly request: ExecRequest,
    readonly clock: Clock,
    readonly log: Log,
  ) {}

  open(socket: KubeletSocket): void {
    this.#writer = new SocketWriter(socket);
    this.#stdin = new ByteQueue(() => {
      if (!this.#paused || this.#stdin!.bytes > stdinHighBytes / 2) return;
      this.#paused = false;
      socket.resume();
    });
    void this.#run(socket, this.#writer, this.#stdin);
  }
  message(data: string | Uint8Array): void {
    const message = decodeChannelMessage(this.request.protocol, data);
    if (!message || !this.#stdin) return;
    if (message.channel === channel.stdin) {
      if (message.type === 'close') this.#stdin.end();
      else if (this.#stdin.push(message.bytes) > stdinHighBytes && !this.#paused) {
        this.#paused = true;
        this.#writer?.socket.pause();
      }
    } else if (message.channel === channel.resize && message.type === 'data') {
      this.#size = parseResize(message.bytes) ?? this.#size;
      this.#resize();
    }
  }
  drain(): void {
    this.#writer?.drain();
  }
  close(): void {
    this.#writer?.closed();
    this.#stdin?.cancel();
    this.#abort.abort();
    this.#session?.close();
  }

  async #run(socket: KubeletSocket, writer: SocketWriter, stdin: ByteQueue): Promise<void> {
    const { protocol, streams } = this.request;
    const first = streams.stdout ? channel.stdout : streams.stderr ? channel.stderr : channel.error;
    await writer.send(encodeChannelMessage(protocol, first, new Uint8Array(0))); // tells the client that it is connected
    let status: StreamStatus;
    try {
      status = await this.#converse(writer, stdin);
    } catch (error) {
      const what =
        this.request.kind === 'exec' ? 'error executing command in container' : 'error attaching to container';
      status = internalStatus(`${what}: ${messageOf(error)}`);
      if (!this.#abort.signal.aborted) this.log.warn(what, { error: messageOf(error) });
    }
    const payload = errorPayload(protocol, status);
    if (payload) await writer.send(encodeChannelMessage(protocol, channel.error, payload));
    this.#session?.close();
    socket.close(1000);
  }

  async #converse(writer: SocketWriter, stdin: ByteQueue): Promise<StreamStatus> {
    const { streams, protocol } = this.request;
    const session = await this.request.start(this.#abort.signal);
    this.#session = session;
    if (this.#abort.signal.aborted) session.close();
    this.#resize();
    void feedStdin(session, streams.stdin ? stdin : undefined).catch((error) => {
      stdin.cancel(); // a command that ended, or closed its stdin: what still comes is dropped, as a pipe would
      this.log.debug('stdin ended early', { error: messageOf(error) });
    });
    const output = (stream: ReadableStream<Uint8Array> | undefined, number: number, wanted: boolean) =>
      stream
        ? copyOutput(stream, (bytes) =>
            wanted ? writer.send(encodeChannelMessage(protocol, number, bytes)) : undefined,
          )
        : undefined;
    await Promise.all([
      output(session.stdout, channel.stdout, streams.stdout),
      output(session.stderr, channel.stderr, streams.stderr),
    ]);
    const end = await within(session.done, exitWaitMs, this.clock);
    if (!end) return internalStatus(`error executing command in container: no exit code within ${exitWaitMs / 1000} s`);
    return end.code === 0 || this.request.kind === 'attach' ? successStatus : exitStatus(end.code);
  }

  #resize(): void {
    if (!this.#size || !this.#session) return;
    const { columns, rows } = this.#size;
    this.#session.resize(columns, rows).catch((error) => this.log.debug('resize failed', { error: messageOf(error) }));
  }
}

async function feedStdin(session: Session, stdin: ByteQueue | undefined): Promise<void> {
  if (stdin) for await (const bytes of stdin) await session.stdin?.write(bytes);
  session.stdin?.end();
}

async function copyOutput(
  stream: ReadableStream<Uint8Array>,
  send: (bytes: Uint8Array) => Promise<void> | undefined,
): Promise<void> {
  for await (const bytes of stream) await send(bytes);
}
