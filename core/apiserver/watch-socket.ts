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
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done || this.#closed) break;
      if (this.binary) for (const message of binaryFrames(value)) socket.send(message);
      else {
        const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
        rest = lines.pop()!;
        for (const line of lines) if (line) socket.send(`${line}\n`);
      }
      while (!this.#closed && socket.getBufferedAmount() > highBytes) await this.#drained.promise;
    }
    if (!this.#closed) socket.close(1000);
  }
}

/** A chunk of the stream holds whole frames: four bytes of length, then the event. */
function* binaryFrames(chunk: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  for (let at = 0; at + 4 <= chunk.length; ) {
    const size = view.getUint32(at);
    yield chunk.subarray(at + 4, at + 4 + size);
    at += 4 + size;
  }
}
