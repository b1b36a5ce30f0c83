import { expect, test } from 'bun:test';
import { seededRandom } from '#base';
import { Mux, type MuxStream, muxWindowBytes } from './mux.ts';

/** Two ends whose messages are carried by hand. */
function pair(streamsMax = 4) {
  const toRight: Uint8Array[] = [];
  const toLeft: Uint8Array[] = [];
  const opened: MuxStream[] = [];
  const left = new Mux({ send: (message) => void toRight.push(message), streamsMax });
  const right = new Mux({
    send: (message) => void toLeft.push(message),
    streamsMax,
    onOpen: (one) => void opened.push(one),
  });
  const carry = (): void => {
    while (toRight.length + toLeft.length > 0) {
      for (const message of toRight.splice(0)) right.receive(message);
      for (const message of toLeft.splice(0)) left.receive(message);
    }
  };
  return { left, right, opened, carry, toRight };
}
const bytes = (length: number, value = 1) => new Uint8Array(length).fill(value);

test('bytes go both ways, and an end each way ends the stream', () => {
  const { left, right, opened, carry } = pair();
  const near = left.open()!;
  carry();
  const far = opened[0]!;
  const said: string[] = [];
  far.onData = (data) => {
    said.push(`far ${Buffer.from(data)}`);
    far.write(Buffer.from('pong'));
  };
  near.onData = (data) => void said.push(`near ${Buffer.from(data)}`);
  near.onEnd = () => void said.push('near end');
  far.onEnd = () => {
    said.push('far end');
    far.end();
  };
  near.write(Buffer.from('ping'));
  near.end();
  carry();
  expect(said).toEqual(['far ping', 'far end', 'near pong', 'near end']);
  right.close(); // nothing is left that could be reset
  expect(left.open()).toBeDefined();
});

test('who does not read is sent one window, and holds up nobody else', () => {
  const { left, opened, carry } = pair();
  const [slow, quick] = [left.open()!, left.open()!];
  carry();
  let got = 0;
  let quickGot = 0;
  opened[0]!.onData = (data) => void (got += data.length);
  opened[1]!.onData = (data) => void (quickGot += data.length);
  let drained = false;
  slow.onDrain = () => void (drained = true);
  expect(slow.write(bytes(muxWindowBytes + 10))).toBe(false);
  expect(quick.write(bytes(1000))).toBe(true);
  carry();
  expect([got, quickGot, drained]).toEqual([muxWindowBytes, 1000, false]);
  opened[0]!.consumed(muxWindowBytes);
  carry();
  expect([got, drained]).toEqual([muxWindowBytes + 10, true]);
});

test('streams are bounded on both sides; a reset frees its place', () => {
  const { left, opened, carry } = pair(2);
  const first = left.open()!;
  left.open();
  expect(left.open()).toBeUndefined();
  carry();
  let reset = false;
  opened[0]!.onReset = () => void (reset = true);
  first.reset();
  carry();
  expect(reset).toBe(true);
  expect(left.open()).toBeDefined();
});

test('a connection that goes resets every stream; nonsense is refused', () => {
  const { left, right } = pair();
  const stream = left.open()!;
  let reset = false;
  stream.onReset = () => void (reset = true);
  left.close();
  expect(reset).toBe(true);
  for (const message of [[], [1, 0, 0], [9, 0, 0, 0, 1], [0, 0, 0, 0, 1], [5, 0, 0, 0, 1, 7]])
    expect(() => right.receive(Uint8Array.from(message))).toThrow();
  expect(() => left.receive(Uint8Array.from([1, 0, 0, 0, 9]))).toThrow(); // who may not open
  right.receive(Uint8Array.from([2, 0, 0, 0, 77, 1, 2])); // of a stream that is over: nothing
});

test('what is written arrives whole and in order, in pieces of any size', () => {
  const random = seededRandom(5);
  const { left, opened, carry } = pair();
  const stream = left.open()!;
  carry();
  const got: number[] = [];
  opened[0]!.onData = (data) => {
    got.push(...data);
    opened[0]!.consumed(data.length);
  };
  const sent: number[] = [];
  for (let round = 0; round < 60; round++) {
    const piece = bytes(Math.floor(random.next() * 20_000), round);
    sent.push(...piece);
    stream.write(piece);
    if (random.next() < 0.3) carry();
  }
  carry();
  expect(Bun.hash(Uint8Array.from(got))).toBe(Bun.hash(Uint8Array.from(sent)));
});
