import { expect, test } from 'bun:test';
import { systemClock } from '#base';
import { gzipPieces, pieceBytes, pieceStream, slices } from './piece-stream.ts';

const total = 24 * 1024 * 1024;
/** One buffer for all pieces, as lists have it. */
function* pieces(count: number, onPiece: (index: number) => void = () => {}): Generator<Uint8Array> {
  const buffer = new Uint8Array(pieceBytes);
  for (let index = 0; index < count; index++) {
    onPiece(index);
    yield buffer.fill(index % 251);
  }
}

function isWhole(bytes: Uint8Array): boolean {
  if (bytes.length !== total) return false;
  for (let at = 0; at < total; at += 4096) if (bytes[at] !== Math.floor(at / pieceBytes) % 251) return false;
  return true;
}

test('pieces that share a buffer arrive whole, also in process and compressed', async () => {
  let ended = 0;
  const options = { clock: systemClock, onEnd: () => void ended++ };
  const plain = new Response(pieceStream(pieces(total / pieceBytes), options));
  expect(isWhole(new Uint8Array(await plain.arrayBuffer()))).toBe(true);
  const gzip = new Uint8Array(
    await new Response(pieceStream(gzipPieces(pieces(total / pieceBytes)), options)).arrayBuffer(),
  );
  expect(gzip.length).toBeLessThan(total / 10);
  expect(isWhole(Bun.gunzipSync(gzip))).toBe(true);
  expect(ended).toBe(2);
});

test('bytes are cut without a copy', () => {
  const bytes = new Uint8Array(10);
  expect([...slices(bytes, 4)].map((each) => each.length)).toEqual([4, 4, 2]);
  expect([...slices(bytes, 4)][1]!.buffer).toBe(bytes.buffer);
});

test('a reader that takes nothing gets few pieces, and is cut after its time', async () => {
  let made = 0;
  const ended = Promise.withResolvers<void>();
  const all = 4096; // 1 GB
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    fetch: () =>
      new Response(
        pieceStream(
          pieces(all, () => void made++),
          { clock: systemClock, waitMsMax: 300, onEnd: ended.resolve },
        ),
      ),
  });
  const closed = Promise.withResolvers<void>();
  let tail = '';
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port: server.port!,
    socket: {
      open: (own) => {
        own.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
        own.pause();
      },
      data: (_, bytes) => {
        tail = Buffer.from(bytes).subarray(-8).toString('latin1');
      },
      close: () => closed.resolve(),
    },
  });
  try {
    await ended.promise;
    expect(made).toBeLessThan(100);
    socket.resume();
    await closed.promise; // an answer without its end: the client knows that it is not whole
    expect(tail.endsWith('0\r\n\r\n')).toBe(false);
  } finally {
    socket.end();
    await server.stop(true);
  }
}, 20_000);

test('a reader that leaves ends the work', async () => {
  let made = 0;
  const ended = Promise.withResolvers<void>();
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: () =>
      new Response(
        pieceStream(
          pieces(4096, () => void made++),
          { clock: systemClock, onEnd: ended.resolve },
        ),
      ),
  });
  try {
    const socket = await Bun.connect({
      hostname: '127.0.0.1',
      port: server.port!,
      socket: {
        open: (own) => void own.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
        data: (own) => void own.terminate(),
      },
    });
    await ended.promise;
    expect(made).toBeLessThan(1000);
    socket.end();
  } finally {
    await server.stop(true);
  }
}, 20_000);
