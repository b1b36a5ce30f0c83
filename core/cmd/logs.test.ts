import { expect, test } from 'bun:test';
import { readable } from './logs.ts';

test('a stored line as people read it', () => {
  const line =
    '{"time":"2026-01-01T10:20:30.456Z","level":"warn","message":"ended","component":"node","code":137,"of":"x"}';
  expect(readable(line)).toBe('10:20:30.4 warn  ended code=137 of=x');
  for (const other of ['plain text', '{"half', '']) expect(readable(other)).toBe(other);
});
