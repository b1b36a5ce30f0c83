import { afterEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AddressBook } from './addresses.ts';
import { addressAt, gatewayOf, numberAt, parsePodRange } from './ranges.ts';

const folder = mkdtempSync(join(tmpdir(), 'pintle-addresses-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a range counts from its first address; nonsense is refused', () => {
  const four = parsePodRange('10.42.1.7/24');
  expect(four).toMatchObject({ family: 4, cidr: '10.42.1.0/24', prefix: 24, lastPod: 254 });
  expect([gatewayOf(four), addressAt(four, 254), numberAt(four, '10.42.1.9')]).toEqual(['10.42.1.1', '10.42.1.254', 9]);
  expect([numberAt(four, '10.42.2.9'), numberAt(four, 'fd42::9')]).toEqual([undefined, undefined]);
  const six = parsePodRange('fd42:0:0:1::7/64');
  expect(six).toMatchObject({ family: 6, cidr: 'fd42:0:0:1::/64', lastPod: 2 ** 20 });
  expect([gatewayOf(six), addressAt(six, 65_536)]).toEqual(['fd42:0:0:1::1', 'fd42::1:0:0:1:0']);
  expect(numberAt(six, 'fd42:0:0:1::ff')).toBe(255);
  for (const wrong of ['10.42.0.0', '10.42.0.0/33', '300.1.1.1/8', 'fd00::/129', 'x', '10.42.0.0/31'])
    expect(() => parsePodRange(wrong)).toThrow();
});

test('addresses are unique, durable, go round, and run out with a clear error', () => {
  const book = new AddressBook(folder, ['10.1.0.0/29']);
  const given = ['a', 'b', 'c', 'd', 'e'].map((uid) => book.take(uid, []).ips[0]);
  expect(given).toEqual(['10.1.0.2', '10.1.0.3', '10.1.0.4', '10.1.0.5', '10.1.0.6']);
  expect(book.take('a', []).ips[0]).toBe('10.1.0.2');
  expect(() => book.take('f', [])).toThrow('no pod address is left: all 5 of 10.1.0.0/29 are taken');
  book.release('b');
  book.release('d');
  const after = new AddressBook(folder, ['10.1.0.0/29']); // as after a restart
  expect(
    after
      .all()
      .map((each) => each.uid)
      .sort(),
  ).toEqual(['a', 'c', 'e']);
  expect(after.take('g', []).ips[0]).toBe('10.1.0.3');
  after.release('g');
  expect(after.take('h', []).ips[0]).toBe('10.1.0.5'); // not the one just given back
});

test('one address of each range; records of before are read, and keep what they hold', () => {
  mkdirSync(join(folder, 'addresses'), { recursive: true });
  writeFileSync(join(folder, 'addresses', '10.1.0.2'), JSON.stringify({ uid: 'old', ip: '10.1.0.2', hostPorts: [] }));
  const book = new AddressBook(folder, ['10.1.0.0/29', 'fd01::/64']);
  expect(book.take('old', []).ips).toEqual(['10.1.0.2']);
  expect(book.take('a', [], '/run/netns/a').ips).toEqual(['10.1.0.3', 'fd01::2']);
  book.release('a');
  const after = new AddressBook(folder, ['10.1.0.0/29', 'fd01::/64']);
  expect(after.take('b', []).ips).toEqual(['10.1.0.4', 'fd01::3']);
  expect(() => new AddressBook(folder, ['10.1.0.0/29', '10.2.0.0/29'])).toThrow('one IPv4 range');
  expect(() => new AddressBook(folder, [])).toThrow('one IPv4 range');
});
