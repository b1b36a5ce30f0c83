import { errors } from '#api';
import type { StreamSession, StreamSocket } from '../contract.ts';

const highBytes = 1024 * 1024; // unsent: reading waits
/** Subprotocols for one stream that only the server sends; text carries base64. */
const protocols: Readonly<Record<string, 'binary' | 'base64'>> = {
  'binary.k8s.io': 'binary',
  'base64.binary.k8s.io': 'base64',
};

/** The first that the client offers and we speak; undefined when it offers none. Throws 400 when we speak none of its. */
export function chooseReaderProtocol(offered: string | null): string | undefined {
  const names = (offered ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  const chosen = names.find((name) => Object.hasOwn(protocols, name));
  if (names.length > 0 && chosen === undefined)
    throw errors.badRequest(
      `unrecognized WebSocket protocol ${names.join(', ')}; this stream speaks ${Object.keys(protocols).join(' and ')}`,
    );
  return chosen;
}

/**
 * Carries a byte stream to a WebSocket client: an empty message first, then the bytes as they come, then a close.
 * Waits while the client holds more than 1 MiB unread; what the client sends is ignored. `stop` ends the source.
 */
export class ReaderSession implements StreamSession {
  #over = false;
  #drained: (() => void) | undefined;
  constructor(
    private readonly body: ReadableStream<Uint8Array> | null,
    private readonly protocol: string | undefined,
    private readonly stop: () => void,
  ) {}

  open(socket: StreamSocket): void {
    void this.#copy(socket);
  }
  message(): void {}
  drain(): void {
    this.#drained?.();
  }
  close(): void {
    this.#over = true;
    this.#drained?.();
    this.stop();
  }

  async #copy(socket: StreamSocket): Promise<void> {
    const isText = this.protocol !== undefined && protocols[this.protocol] === 'base64';
    const send = (bytes: Uint8Array) => socket.send(isText ? Buffer.from(bytes).toString('base64') : bytes);
    let code = 1000;
    try {
      send(new Uint8Array());
      for await (const bytes of this.body ?? []) {
        if (this.#over) return;
        send(bytes);
        if (socket.getBufferedAmount() > highBytes)
          await new Promise<void>((resolve) => {
            this.#drained = resolve;
          });
      }
    } catch {
      code = 1011; // the source broke: there is nothing more to say on a stream of bytes
    }
    if (!this.#over) socket.close(code);
  }
}
