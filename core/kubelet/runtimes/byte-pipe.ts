/** A stream fed by hand. Bytes pushed after the end, or after the reader left, are dropped. */
export function bytePipe(
  onCancel?: () => void,
  /** There is room again. */
  onPull?: () => void,
): {
  readonly stream: ReadableStream<Uint8Array>;
  push(bytes: Uint8Array): void;
  end(): void;
  /** Bytes that nobody has read yet are at least this far over the reader's bound when it is below zero. */
  room(): number;
} {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const pipeBytesMax = 1024 * 1024;
  const stream = new ReadableStream<Uint8Array>(
    {
      start(given) {
        controller = given;
      },
      pull: onPull,
      cancel() {
        controller = undefined;
        onCancel?.();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: pipeBytesMax }),
  );
  return {
    stream,
    push: (bytes) => controller?.enqueue(bytes),
    end() {
      try {
        controller?.close();
      } catch {} // already closed by the reader
      controller = undefined;
    },
    room: () => controller?.desiredSize ?? pipeBytesMax,
  };
}
