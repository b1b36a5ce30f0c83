import { expect, test } from 'bun:test';
import { cidrText, contains, holdsAddress, isReachableAddress, networkOf, overlaps, parseCidr } from './ranges.ts';

test.each([
  ['10.1.0.0/16', '10.1.0.0/16'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['10.1.2.3/32', '10.1.2.3/32'],
  ['fd00:44::/64', 'fd00:44::/64'],
  ['FD00:0044:0:0::/64', 'fd00:44::/64'],
  ['fd00:0:0:1:0:0:0:0/64', 'fd00:0:0:1::/64'],
  ['::/0', '::/0'],
  ['2001:db8:0:1:1:1:1:0/128', '2001:db8:0:1:1:1:1:0/128'],
  ['1::/16', '1::/16'],
])('%s is %s', (text, written) => {
  expect(cidrText(parseCidr(text)!)).toBe(written);
});

test.each([
  '10.1.0.1/16', // bits below the prefix
  '10.1.0.0',
  '10.1.0.0/33',
  '10.1.0.0/016',
  '010.1.0.0/16',
  '10.1.0/16',
  'fd00::1/64',
  'fd00:::/64',
  'fd00::1::/64',
  '1:2:3:4:5:6:7/112',
  '::ffff:10.0.0.0/104',
  'host/8',
  '',
  '/8',
])('%s is none', (text) => {
  expect(parseCidr(text)).toBeUndefined();
});

test('what lies in what', () => {
  const [outer, inner, beside, six] = ['10.1.0.0/16', '10.1.255.0/24', '10.2.0.0/24', 'fd00::/48'].map(
    (text) => parseCidr(text)!,
  );
  expect([contains(outer!, inner!), contains(inner!, outer!), contains(outer!, beside!)]).toEqual([true, false, false]);
  expect([overlaps(inner!, outer!), overlaps(outer!, beside!), overlaps(outer!, six!)]).toEqual([true, false, false]);
  expect([
    holdsAddress(outer!, '10.1.255.255'),
    holdsAddress(outer!, '10.2.0.0'),
    holdsAddress(six!, 'fd00::1'),
  ]).toEqual([true, false, true]);
  expect(cidrText(networkOf('10.1.2.3/16')!)).toBe('10.1.0.0/16');
  expect(networkOf('10.1.2.3')).toBeUndefined();
});

test.each([
  ['192.0.2.1', true],
  ['fd00::1', true],
  ['127.0.0.1', false],
  ['0.0.0.0', false],
  ['169.254.3.4', false],
  ['224.0.0.1', false],
  ['255.255.255.255', false],
  ['::1', false],
  ['fe80::1', false],
  ['example.com', false],
])('others may reach %s: %p', (text, answer) => {
  expect(isReachableAddress(text)).toBe(answer);
});
