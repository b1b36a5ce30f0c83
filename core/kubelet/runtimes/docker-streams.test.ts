import { expect, test } from 'bun:test';
import { frameReader, lineReader, stampedLine } from './docker-streams.ts';

const frame = (stream: number, text: string) =>
  Buffer.concat([Buffer.from([stream, 0, 0, 0, 0, 0, 0, text.length]), Buffer.from(text)]);

test('frames come out whole, wherever the chunks are cut', () => {
  const bytes = Buffer.concat([frame(1, 'one\n'), frame(2, 'two\n'), frame(1, '')]);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const read = frameReader();
    const frames = [...read(bytes.subarray(0, cut)), ...read(bytes.subarray(cut))];
    expect(frames.map((each) => `${each.stream}:${Buffer.from(each.bytes)}`)).toEqual([
      'stdout:one\n',
      'stderr:two\n',
      'stdout:',
    ]);
  }
});

test('bytes that are no frames are an error, not a huge buffer', () => {
  expect(() => frameReader()(Buffer.from('hello, no frames'))).toThrow('no frames');
});

test('lines of a terminal, cut anywhere', () => {
  const bytes = Buffer.from('a\r\nb\nc');
  for (let cut = 0; cut <= bytes.length; cut++) {
    const lines = lineReader();
    const found = [...lines.feed(bytes.subarray(0, cut)), ...lines.feed(bytes.subarray(cut))];
    expect(found.map((line) => String(Buffer.from(line)))).toEqual(['a\r\n', 'b\n']);
    expect(String(Buffer.from(lines.rest()))).toBe('c');
  }
});

test('a line keeps its nanoseconds', () => {
  const line = stampedLine('stderr', Buffer.from('2026-01-02T03:04:05.123456789Z a b\n'))!;
  expect(line).toMatchObject({
    stream: 'stderr',
    time: '2026-01-02T03:04:05.123456789Z',
    timeMs: Date.parse('2026-01-02T03:04:05.123Z'),
  });
  expect(String(Buffer.from(line.bytes))).toBe('a b\n');
  expect(stampedLine('stdout', Buffer.from('no time here\n'))).toBeUndefined();
});
