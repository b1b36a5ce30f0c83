import type { StreamSession, StreamSocket } from './contract.ts';

/** Unsent bytes of one socket at which the watch is not read on; its own bound then cuts a client that stays away. */
const highBytes = 1024 * 1024;

/** A watch over WebSocket: every frame of the stream is one message, text for JSON and binary for protobuf. */
export class WatchSocket implements StreamSession {
  #drained = Promise.withResolvers<void>();
  #closed = false;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(
    stream: ReadableStream<Uint8Array>,
    private readonly binary: boolean,
  ) {
    this.#reader = stream.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  }
  open(socket: StreamSocket): void {
    void this.#pump(socket);
  }
  message(): void {} // a watch has nothing to hear
  drain(): void {
    this.#drained.resolve();
    this.#drained = Promise.withResolvers();
  }
  close(): void {
    this.#closed = true;
    this.#drained.resolve();
    void this.#reader.cancel();
  }

  async #pump(socket: StreamSocket): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    let begun: Uint8Array = new Uint8Array(0); // of a frame: the stream sends its first byte ahead
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done || this.#closed) break;
      if (this.binary) {
        const bytes = begun.length > 0 ? Buffer.concat([begun, value]) : value;
        let taken = 0;
        for (const message of binaryFrames(bytes)) {
          socket.send(message);
          taken += 4 + message.length;
        }
        begun = bytes.subarray(taken);
      } else {
        const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
        rest = lines.pop()!;
        for (const line of lines) if (line) socket.send(`${line.trimStart()}\n`);
      }
      while (!this.#closed && socket.getBufferedAmount() > highBytes) await this.#drained.promise;
    }
    if (!this.#closed) socket.close(1000);
  }
}

/** The whole frames at the start of these bytes: four bytes of length, then the event. */
function* binaryFrames(chunk: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  for (let at = 0; at + 4 <= chunk.length; ) {
    const size = view.getUint32(at);
    if (at + 4 + size > chunk.length) return;
    yield chunk.subarray(at + 4, at + 4 + size);
    at += 4 + size;
  }
}
