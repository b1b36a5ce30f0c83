import { afterEach, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AddressBook, parseIpv4Range } from './addresses.ts';

const folder = mkdtempSync(join(tmpdir(), 'pintle-addresses-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a range is first and last address; nonsense is refused', () => {
  expect(parseIpv4Range('10.42.1.7/24')).toEqual({ first: 0x0a2a0100, last: 0x0a2a01ff, prefix: 24 });
  for (const wrong of ['10.42.0.0', '10.42.0.0/33', '300.1.1.1/8', 'fd00::/64'])
    expect(() => parseIpv4Range(wrong)).toThrow();
});

test('addresses are unique, durable, go round, and run out with a clear error', () => {
  const book = new AddressBook(folder, '10.1.0.0/29');
  expect(book.gateway).toBe('10.1.0.1');
  const given = ['a', 'b', 'c', 'd', 'e'].map((uid) => book.take(uid, []).ip);
  expect(given).toEqual(['10.1.0.2', '10.1.0.3', '10.1.0.4', '10.1.0.5', '10.1.0.6']);
  expect(book.take('a', []).ip).toBe('10.1.0.2');
  expect(() => book.take('f', [])).toThrow('no pod address is left: all 5 of 10.1.0.0/29 are taken');
  book.release('b');
  book.release('d');
  const after = new AddressBook(folder, '10.1.0.0/29'); // as after a restart
  expect(
    after
      .all()
      .map((each) => each.uid)
      .sort(),
  ).toEqual(['a', 'c', 'e']);
  expect(after.take('g', []).ip).toBe('10.1.0.3');
  after.release('g');
  expect(after.take('h', []).ip).toBe('10.1.0.5'); // not the one just given back
});
