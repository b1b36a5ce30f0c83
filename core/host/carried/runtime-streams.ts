import type { Session, StreamAsked, StreamItem, StreamPiece } from '#sdk';

type Without<T> = T extends unknown ? Omit<T, 'name'> : never;
/** The way to the plugin's side of a stream (sdk/plugin/runtime-calls.ts). */
export interface StreamEnds {
  ask(asked: Without<StreamAsked>): Promise<unknown>;
  /** The value of an answer; throws its failure. */
  unpack(said: unknown): unknown;
}
const pieceBytesMax = 256 * 1024;
const heldBytesMax = 1024 * 1024;
const killedCode = 137;

const open = async (ends: StreamEnds, asked: Without<StreamAsked>): Promise<number> =>
  Number(ends.unpack(await ends.ask(asked)));
const never: Promise<'aborted'> = new Promise(() => {});

/** Everything that comes, until the stream's end or the signal. Throws what ended it. */
export async function* streamItems(
  ends: StreamEnds,
  asked: Without<StreamAsked>,
  signal?: AbortSignal,
  opened?: (id: number) => void,
): AsyncGenerator<StreamItem> {
  if (signal?.aborted) return;
  const id = await open(ends, asked);
  opened?.(id);
  const stop = Promise.withResolvers<'aborted'>();
  const abort = () => stop.resolve('aborted');
  signal?.addEventListener('abort', abort, { once: true });
  let ended = false;
  try {
    for (;;) {
      const reading = ends.ask({ verb: 'read', id }) as Promise<StreamPiece>;
      reading.catch(() => {}); // nobody waits any more after an abort
      const piece = await Promise.race([reading, signal ? stop.promise : never]);
      if (piece === 'aborted') return;
      ended = piece.end !== undefined;
      yield* piece.items ?? [];
      if (piece.end?.error !== undefined) throw new Error(String(piece.end.error));
      if (piece.end) return;
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    if (!ended) void ends.ask({ verb: 'close', id }).catch(() => {});
  }
}

/** An exec, attach or port connection. */
export async function openSession(
  ends: StreamEnds,
  asked: Without<StreamAsked>,
  { stdin, tty, signal }: { readonly stdin: boolean; readonly tty: boolean; readonly signal?: AbortSignal },
): Promise<Session> {
  const over = new AbortController();
  const both = signal ? AbortSignal.any([over.signal, signal]) : over.signal;
  const ready = Promise.withResolvers<number>();
  const [out, errors] = [pipe(), pipe()];
  const exit = Promise.withResolvers<{ code: number }>();
  exit.promise.catch(() => {});
  const run = async (): Promise<void> => {
    try {
      for await (const item of streamItems(ends, asked, both, ready.resolve)) {
        if (item.type === 'exit') exit.resolve({ code: Number(item.code) });
        if (item.type !== 'stdout' && item.type !== 'stderr') continue;
        await (item.type === 'stdout' ? out : errors).put(Buffer.from(item.base64, 'base64'));
      }
      // Left by its reader: what became of a program nobody knows then.
      if (both.aborted) exit.resolve({ code: asked.verb === 'exec' ? killedCode : 0 });
      throw new Error('the session ended');
    } catch (error) {
      ready.reject(error);
      exit.reject(error); // unless it has its code
    } finally {
      out.end();
      errors.end();
    }
  };
  void run();
  const id = await ready.promise;
  let tail: Promise<unknown> = Promise.resolve();
  const inTurn = (work: () => Promise<unknown>): Promise<void> => {
    const next = tail.then(work);
    tail = next.catch(() => {});
    return next.then(() => {});
  };
  return {
    ...(stdin
      ? {
          stdin: {
            write: (bytes: Uint8Array) =>
              inTurn(async () => {
                for (let at = 0; at < bytes.length; at += pieceBytesMax)
                  await ends.ask({
                    verb: 'write',
                    id,
                    base64: Buffer.from(bytes.subarray(at, at + pieceBytesMax)).toString('base64'),
                  });
              }),
            end: () => void inTurn(() => ends.ask({ verb: 'endInput', id })).catch(() => {}),
          },
        }
      : {}),
    stdout: out.stream,
    ...(tty ? {} : { stderr: errors.stream }),
    resize: (columns, rows) => inTurn(() => ends.ask({ verb: 'resize', id, columns, rows })),
    done: exit.promise,
    close() {
      over.abort();
      out.end();
      errors.end();
    },
  };
}

/** What nobody has read is bounded: whoever puts waits. */
function pipe() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let room = Promise.withResolvers<void>();
  const stream = new ReadableStream<Uint8Array>(
    {
      start: (given) => void (controller = given),
      pull: () => room.resolve(),
      cancel() {
        controller = undefined;
        room.resolve();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: heldBytesMax }),
  );
  return {
    stream,
    async put(bytes: Uint8Array): Promise<void> {
      controller?.enqueue(bytes);
      while (controller && (controller.desiredSize ?? 1) <= 0) {
        room = Promise.withResolvers();
        await room.promise;
      }
    },
    end(): void {
      try {
        controller?.close();
      } catch {} // its reader closed it
      controller = undefined;
      room.resolve();
    },
  };
}
