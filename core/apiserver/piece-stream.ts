import { createGzip } from 'node:zlib';
import type { Clock } from '#base';

/** Of a large answer, as much as is in memory at once for one reader, beside what lies in its socket. */
export const pieceBytes = 256 * 1024;
/** Answers above this are sent in pieces. */
export const piecesFromBytes = 1024 * 1024;
/** A reader that does not take a piece in so long is cut. */
export const pieceWaitMsMax = 30_000;

/** What a stream of `type: 'direct'` writes to: `write` gives a promise when the socket is full. */
interface Sink {
  write(bytes: Uint8Array): number | Promise<number>;
  end(): unknown;
}
export type PieceSource = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * A body that takes the next piece when the reader took the last one. `onEnd` is called once, when it was sent, cut or left.
 * Pieces must not change afterwards: a socket copies what it cannot send at once, but `text()` of a request within this
 * process holds them until the end.
 */
export function pieceStream(
  pieces: PieceSource,
  options: { readonly clock: Clock; readonly waitMsMax?: number; readonly onEnd?: () => void },
): ReadableStream<Uint8Array> {
  const { clock, waitMsMax = pieceWaitMsMax } = options;
  const left = new AbortController();
  const source = {
    type: 'direct',
    async pull(sink: Sink): Promise<void> {
      try {
        for await (const piece of pieces) {
          const wrote = sink.write(piece);
          if (typeof wrote === 'object') await taken(wrote, clock, waitMsMax, left.signal);
          if (left.signal.aborted) return;
        }
        sink.end();
      } finally {
        options.onEnd?.();
      }
    },
    cancel: () => left.abort(),
  };
  return new ReadableStream(source as unknown as ConstructorParameters<typeof ReadableStream<Uint8Array>>[0]);
}

const turnMsMax = 50;
/**
 * Waits for room in the socket. Over HTTP/2 Bun sends what waits only when its loop turns, and a promise alone does not turn it
 * (1 MB/s instead of 400): so the wait is one of short sleeps.
 */
async function taken(wrote: Promise<unknown>, clock: Clock, waitMsMax: number, left: AbortSignal): Promise<void> {
  let isDone = false;
  const done = wrote.then(
    () => void (isDone = true),
    () => void (isDone = true), // who left is told by cancel
  );
  const endMs = clock.monotonicMs() + waitMsMax;
  for (let turnMs = 1; !isDone && !left.aborted; turnMs = Math.min(turnMsMax, turnMs * 2)) {
    if (clock.monotonicMs() >= endMs) throw new SlowReader('a reader did not take its answer in time');
    const turn = new AbortController();
    await Promise.race([done, clock.sleep(turnMs, turn.signal).catch(() => {})]);
    turn.abort();
  }
}
export class SlowReader extends Error {}

/** The same pieces compressed as one stream, on zlib's thread; at most what one piece gives is held. */
export async function* gzipPieces(pieces: PieceSource): AsyncGenerator<Uint8Array> {
  const gzip = createGzip({ level: 1 });
  const made: Uint8Array[] = [];
  gzip.on('data', (bytes: Uint8Array) => made.push(bytes));
  const failed = new Promise<never>((_, reject) => gzip.once('error', reject));
  failed.catch(() => {});
  try {
    for await (const piece of pieces) {
      await Promise.race([failed, new Promise<void>((resolve) => gzip.write(piece, () => resolve()))]);
      yield* made.splice(0);
    }
    await Promise.race([failed, new Promise<void>((resolve) => gzip.once('end', resolve).end())]);
    yield* made.splice(0);
  } finally {
    gzip.destroy();
  }
}

export function* slices(bytes: Uint8Array, bytesMax = pieceBytes): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += bytesMax) yield bytes.subarray(at, Math.min(bytes.length, at + bytesMax));
}
