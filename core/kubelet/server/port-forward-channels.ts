import { type Log, messageOf } from '#base';
import { ByteQueue } from '../../wire/byte-queue.ts';
import {
  type ChannelProtocol,
  decodeChannelMessage,
  encodeChannelMessage,
  negotiateChannels,
  offeredProtocols,
} from '../../wire/websocket-channels.ts';
import { joinPort, type PortForwardRequest } from './port-forward.ts';
import { type KubeletSocket, type SocketSession, SocketWriter } from './socket.ts';

const queueHighBytes = 512 * 1024; // for one port; above it the client is not read
const portsMax = 100; // two channels each, and a channel is one byte
const spoken = ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io'];

/** The variant for this client; undefined: it offers none that is spoken here. */
export function negotiatePortForward(header: string | null): ChannelProtocol | undefined {
  const offered = offeredProtocols(header);
  return negotiateChannels(offered.length === 0 ? null : (offered.find((name) => spoken.includes(name)) ?? 'none'));
}

/** `port=80&port=81,82` as 1-65535 each; a sentence when they make no sense. */
export function readPorts(query: URLSearchParams): number[] | string {
  const texts = query.getAll('port');
  if (texts.length === 0) return 'query parameter "port" is required';
  if (texts.includes('')) return 'query parameter "port" cannot be empty';
  const ports: number[] = [];
  for (const text of texts.flatMap((each) => each.split(','))) {
    const port = Number(text);
    if (!/^\d+$/.test(text) || port > 65_535) return `unable to parse "${text}" as a port`;
    if (port < 1) return `port "${text}" must be > 0`;
    ports.push(port);
  }
  return ports.length > portsMax ? `at most ${portsMax} ports at once` : ports;
}

/**
 * One connection to each of some ports of a pod, as channels of one WebSocket: 2n carries data, 2n+1 errors, and the first
 * message of each is the port, little-endian. So the Python and JavaScript clients forward.
 */
export class PortForwardChannels implements SocketSession {
  readonly #abort = new AbortController();
  readonly #queues: ByteQueue[];
  #writer: SocketWriter | undefined;
  #paused = false;

  constructor(
    readonly request: PortForwardRequest,
    readonly protocol: ChannelProtocol,
    readonly ports: readonly number[],
    readonly log: Log,
  ) {
    this.#queues = ports.map(() => new ByteQueue(() => this.#resume()));
  }

  open(socket: KubeletSocket): void {
    this.#writer = new SocketWriter(socket);
    void Promise.all(this.ports.map((port, index) => this.#forward(port, index))).then(() => socket.close(1000));
  }
  message(data: string | Uint8Array): void {
    const message = decodeChannelMessage(this.protocol, data);
    if (message?.type !== 'data' || message.channel % 2 !== 0) return;
    const held = this.#queues[message.channel / 2]?.push(message.bytes) ?? 0;
    if (held <= queueHighBytes || this.#paused) return;
    this.#paused = true;
    this.#writer?.socket.pause();
  }
  drain(): void {
    this.#writer?.drain();
  }
  close(): void {
    this.#writer?.closed();
    this.#abort.abort();
    for (const queue of this.#queues) queue.cancel();
  }

  #resume(): void {
    if (!this.#paused || this.#queues.some((queue) => queue.bytes > queueHighBytes / 2)) return;
    this.#paused = false;
    this.#writer?.socket.resume();
  }

  async #forward(port: number, index: number): Promise<void> {
    const send = async (channel: number, bytes: Uint8Array) =>
      this.#writer?.send(encodeChannelMessage(this.protocol, channel, bytes));
    const [data, failures] = [index * 2, index * 2 + 1];
    const number = Uint8Array.of(port & 0xff, port >> 8);
    await send(data, number);
    await send(failures, number);
    const incoming = this.#queues[index]!;
    try {
      const session = await this.request.dial(port, this.#abort.signal);
      try {
        await joinPort(session, { incoming, write: (bytes) => send(data, bytes) });
      } finally {
        session.close();
      }
    } catch (failure) {
      const { pod, podUid } = this.request;
      const text = `error forwarding port ${port} to pod ${pod}, uid ${podUid}: ${messageOf(failure)}`;
      if (!this.#abort.signal.aborted) this.log.warn(text);
      await send(failures, Buffer.from(text));
    } finally {
      incoming.cancel();
    }
  }
}
