import { expect, test } from 'bun:test';
import { canonicalCidr, canonicalIp, cidrContains, disjointCidrs } from './cidr.ts';

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['FD00:0:0::1', 'fd00::1'],
  ['::ffff:10.0.0.1', '::ffff:a00:1'],
  ['010.0.0.1', undefined],
  ['10.1', undefined],
  ['fe80::1%eth0', undefined],
  ['10.0.0.1; flush ruleset', undefined],
  ['', undefined],
])('the address %p is %p', (text, wanted) => expect(canonicalIp(text)).toBe(wanted as string));

test.each([
  ['10.0.0.9/24', '10.0.0.0/24'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['FD00::9/64', 'fd00::/64'],
  ['10.0.0.0/33', undefined],
  ['10.0.0.0', undefined],
  ['10.0.0.0/8 }; flush ruleset', undefined],
  ['fd00::/129', undefined],
])('the range %p is %p', (text, wanted) => expect(canonicalCidr(text)).toBe(wanted as string));

test('of ranges that hold each other the larger ones stay', () => {
  const some = ['10.1.2.0/24', '10.1.0.0/16', '10.1.0.0/16', '10.2.0.0/16', 'fd00::/64', 'fd00::/48'];
  expect(disjointCidrs(some)).toEqual(['10.1.0.0/16', '10.2.0.0/16', 'fd00::/48']);
});

test.each<[string, string, boolean]>([
  ['10.1.0.0/16', '10.1.2.3', true],
  ['10.1.0.0/16', '10.2.0.1', false],
  ['10.1.0.0/16', '10.1.2.0/24', true],
  ['10.1.2.0/24', '10.1.0.0/16', false],
  ['fd00::/64', 'fd00::9', true],
  ['fd00::/64', 'fd00:0:0:1::9', false],
  ['10.1.0.0/16', 'fd00::1', false],
  ['0.0.0.0/0', '::ffff:10.0.0.1', false],
  ['nonsense', '10.0.0.1', false],
])('%p holds %p: %p', (cidr, inner, holds) => expect(cidrContains(cidr, inner)).toBe(holds));
