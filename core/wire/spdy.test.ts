import { expect, test } from 'bun:test';
import { constants, createDeflate } from 'node:zlib';
import fc from 'fast-check';
import { rejection } from '../../test/fixtures/rejection.ts';
import { SpdyConnection } from './spdy.ts';
import { spdyDictionary, spdyDictionaryId } from './spdy-dictionary.ts';
import { decodeFrame, encodeFrame, type SpdyFrame, SpdyFrameReader } from './spdy-frames.ts';
import { HeaderCompressor, HeaderDecompressor, type SpdyHeaders } from './spdy-headers.ts';
import type { SpdyStream } from './spdy-stream.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => new Uint8Array(Buffer.from(text));

test('the dictionary is the one of the draft', () => {
  expect(spdyDictionary.length).toBe(1423);
  expect(Bun.hash.adler32(spdyDictionary)).toBe(spdyDictionaryId);
});

const golden: [Exclude<SpdyFrame, { type: 'unknown' }>, string][] = [
  [{ type: 'data', stream: 5, fin: true, bytes: bytes('hi') }, '00000005010000026869'],
  [{ type: 'rstStream', stream: 3, status: 5 }, '80030003000000080000000300000005'],
  [{ type: 'ping', id: 7 }, '800300060000000400000007'],
  [{ type: 'goAway', lastStream: 9, status: 0 }, '80030007000000080000000900000000'],
  [{ type: 'windowUpdate', stream: 1, deltaBytes: 65536 }, '80030009000000080000000100010000'],
  [{ type: 'settings', values: [{ id: 7, value: 1024 }] }, '800300040000000c000000010000000700000400'],
  [
    {
      type: 'synStream',
      stream: 1,
      fin: false,
      unidirectional: true,
      associated: 2,
      priority: 7,
      block: bytes('B'),
    },
    '800300010200000b0000000100000002e00042',
  ],
  [{ type: 'synReply', stream: 1, fin: true, block: bytes('B') }, '80030002010000050000000142'],
  [{ type: 'headers', stream: 1, fin: false, block: bytes('B') }, '80030008000000050000000142'],
];
test.each(golden)('frame %p is these bytes, and back', (frame, text) => {
  expect(hex(encodeFrame(frame))).toBe(text);
  const back = decodeFrame(Buffer.from(text, 'hex'));
  expect(back.type).toBe(frame.type);
  if (back.type !== 'unknown') expect(hex(encodeFrame(back))).toBe(text);
});

test.each([
  ['80020001000000080000000300000005', 'SPDY version 2'],
  ['00000000000000026869', 'data on stream 0'],
  ['800300030000000400000003', 'control frame 3 has 4 bytes'],
  ['80030004000000040000ffff', '65535 settings'],
])('%s is refused', (text, why) => {
  expect(() => decodeFrame(Buffer.from(text, 'hex'))).toThrow(why);
});

test('a frame that is too long is refused before it is held', () => {
  const reader = new SpdyFrameReader(100);
  expect(() => [...reader.feed(Buffer.from('0000000100000065', 'hex'))]).toThrow('longer than 100');
});

test('frames come out whole however the bytes are cut', () => {
  const all = Buffer.concat(golden.map(([, text]) => Buffer.from(text, 'hex')));
  fc.assert(
    fc.property(fc.array(fc.nat(all.length), { maxLength: 12 }), (cuts) => {
      const reader = new SpdyFrameReader(1000);
      const frames: SpdyFrame[] = [];
      const at = [0, ...cuts.sort((a, b) => a - b), all.length];
      for (let index = 1; index < at.length; index++)
        frames.push(...reader.feed(Uint8Array.from(all.subarray(at[index - 1], at[index]))));
      expect(frames.map((frame) => frame.type)).toEqual(golden.map(([frame]) => frame.type));
    }),
  );
});

test('header blocks: what zlib streams write is read, over several blocks', async () => {
  const deflate = createDeflate({ dictionary: spdyDictionary });
  const parts: Buffer[] = [];
  deflate.on('data', (part: Buffer) => parts.push(part));
  const reader = new HeaderDecompressor();
  for (const request of ['0', '1', '2']) {
    const text = { port: ['8080'], streamtype: ['error'], requestid: [request] };
    const plainBlock = Buffer.concat([
      uint32(3),
      ...Object.entries(text).flatMap(([name, [value]]) => [
        uint32(name.length),
        Buffer.from(name),
        uint32(value!.length),
        Buffer.from(value!),
      ]),
    ]);
    parts.length = 0;
    deflate.write(plainBlock);
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, () => resolve()));
    expect({ ...reader.decompress(Buffer.concat(parts)) }).toEqual(text);
  }
});
function uint32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

test('header blocks: round trip, and a bomb is refused', () => {
  const writer = new HeaderCompressor();
  const reader = new HeaderDecompressor();
  const blocks: SpdyHeaders[] = [{}, { a: ['1', '2'] }, { long: ['x'.repeat(40_000)] }, { long: ['x'.repeat(40_000)] }];
  for (const headers of blocks) expect({ ...reader.decompress(writer.compress(headers)) }).toEqual(headers);
  const bomb = writer.compress({ a: ['x'.repeat(100_000)] });
  expect(() => reader.decompress(bomb)).toThrow();
  expect(() => new HeaderDecompressor().decompress(Buffer.from('78bb00000000', 'hex'))).toThrow('unknown dictionary');
});

function pair(options: { bufferedBytesHigh?: number; streamsMax?: number } = {}) {
  const pressure: boolean[] = [];
  const reasons: (string | undefined)[] = [];
  const accepted: SpdyStream[] = [];
  const server: SpdyConnection = new SpdyConnection({
    role: 'server',
    write: (data) => client.feed(data.slice()),
    onStream: (stream) => {
      accepted.push(stream);
      stream.reply({ status: ['ok'] });
    },
    onPressure: (high) => pressure.push(high),
    onClose: (reason) => reasons.push(reason?.message),
    ...options,
  });
  const client: SpdyConnection = new SpdyConnection({ role: 'client', write: (data) => server.feed(data.slice()) });
  return { server, client, accepted, pressure, reasons };
}
async function text(stream: SpdyStream): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of stream.incoming) parts.push(part);
  return Buffer.concat(parts).toString();
}

test('two streams carry bytes both ways and end for themselves', async () => {
  const { client, server, accepted } = pair();
  const first = client.open({ port: ['80'] });
  const second = client.open({ port: ['81'] });
  expect(accepted.map((stream) => stream.header('port'))).toEqual(['80', '81']);
  await first.write(bytes('question'));
  await first.end();
  expect(await text(accepted[0]!)).toBe('question');
  await accepted[0]!.write(bytes('a'.repeat(100_000)));
  await accepted[0]!.end();
  expect((await text(first)).length).toBe(100_000);
  expect(client.streams).toBe(1);
  second.reset(5);
  expect((await rejection(text(accepted[1]!))).message).toMatch('reset with status 5');
  expect(server.streams).toBe(0);
});

test('pressure is told at the bound and taken back at half of it; a feeder that cannot stop is cut', async () => {
  const { client, accepted, pressure, reasons } = pair({ bufferedBytesHigh: 1000 });
  const stream = client.open({});
  await stream.write(new Uint8Array(1500));
  expect(pressure).toEqual([true]);
  await accepted[0]!.incoming.next();
  expect(pressure).toEqual([true, false]);
  await stream.write(new Uint8Array(9000));
  expect(reasons).toEqual(['more than 8000 bytes unread']);
});

test('more streams than allowed are refused, ids out of order end the connection', async () => {
  const { client, server, accepted, reasons } = pair({ streamsMax: 1 });
  client.open({});
  const refused = client.open({});
  expect(accepted.length).toBe(1);
  expect((await rejection(text(refused))).message).toMatch('status 3');
  server.feed(
    encodeFrame({
      type: 'synStream',
      stream: 1,
      fin: false,
      unidirectional: false,
      associated: 0,
      priority: 0,
      block: new HeaderCompressor().compress({}),
    }),
  );
  expect(reasons.length).toBe(1);
});

test('the windows of a peer that has any are obeyed', async () => {
  const sent: number[] = [];
  let stream: SpdyStream | undefined;
  const server = new SpdyConnection({
    role: 'server',
    write: (data) => {
      for (const frame of new SpdyFrameReader(100_000).feed(data))
        if (frame.type === 'data') sent.push(frame.bytes.length);
    },
    onStream: (opened) => {
      stream = opened;
    },
  });
  server.feed(encodeFrame({ type: 'settings', values: [{ id: 7, value: 10 }] }));
  server.feed(
    encodeFrame({
      type: 'synStream',
      stream: 1,
      fin: false,
      unidirectional: false,
      associated: 0,
      priority: 0,
      block: new HeaderCompressor().compress({}),
    }),
  );
  const writing = stream!.write(new Uint8Array(25));
  await Bun.sleep(0);
  expect(sent).toEqual([10]);
  server.feed(encodeFrame({ type: 'windowUpdate', stream: 1, deltaBytes: 100 }));
  await writing;
  expect(sent).toEqual([10, 15]);
});
