import { expect, test } from 'bun:test';
import { allocate, freeSubnets, holderOf, subnetMistakes } from './allocate.ts';

const settings = { ranges: ['10.44.0.0/16'], ipv4PrefixBits: 24, ipv6PrefixBits: 64 };
const dual = { ...settings, ranges: ['10.44.0.0/16', 'fd00:44::/48'] };

test.each([
  ['the first host', settings, [], ['10.44.0.0/24']],
  ['the next one', settings, ['10.44.0.0/24', '10.44.1.0/24'], ['10.44.2.0/24']],
  ['a gap is filled', settings, ['10.44.2.0/24', '10.44.0.0/24'], ['10.44.1.0/24']],
  ['both families', dual, ['10.44.0.0/24', 'fd00:44::/64'], ['10.44.1.0/24', 'fd00:44:0:1::/64']],
  ['larger ones of former settings', settings, ['10.44.0.0/20'], ['10.44.16.0/24']],
  ['smaller ones of former settings', settings, ['10.44.0.0/26', '10.44.1.192/26'], ['10.44.2.0/24']],
  ['what is of another range does not count', settings, ['10.45.0.0/24', 'fd00::/64'], ['10.44.0.0/24']],
  ['the whole range for one host', { ...settings, ipv4PrefixBits: 16 }, [], ['10.44.0.0/16']],
])('%s', (_, given, taken, subnets) => {
  expect(allocate(given, taken)).toEqual({ subnets });
});

test('a range that is used up is named', () => {
  const all = Array.from({ length: 256 }, (_, index) => `10.44.${index}.0/24`);
  expect(allocate(settings, all)).toEqual({ exhausted: '10.44.0.0/16' });
  expect(allocate(settings, all.slice(0, 255))).toEqual({ subnets: ['10.44.255.0/24'] });
  expect(allocate({ ...settings, ipv4PrefixBits: 8 }, [])).toEqual({ exhausted: '10.44.0.0/16' });
  expect(allocate(dual, ['fd00:44::/48'])).toEqual({ exhausted: 'fd00:44::/48' });
  expect([freeSubnets(settings, []), freeSubnets(settings, all), freeSubnets(dual, all.slice(6))]).toEqual([256, 0, 6]);
  expect(freeSubnets({ ...settings, ranges: ['fd00::/16'] }, [])).toBe(2 ** 31);
});

test('three hundred hosts one after the other, some of them leaving', () => {
  const large = { ...settings, ranges: ['10.64.0.0/12'] };
  const taken = new Set<string>();
  for (let round = 0; round < 300; round++) {
    const found = allocate(large, taken);
    if ('exhausted' in found) throw new Error(`exhausted in round ${round}`);
    expect(taken.has(found.subnets[0]!)).toBe(false);
    taken.add(found.subnets[0]!);
    if (round % 3 === 0) taken.delete([...taken][round % taken.size]!);
  }
});

test('what a lease may not hold', () => {
  expect(subnetMistakes(['10.44.3.0/24', 'fd00:44::/64'], dual.ranges)).toEqual([]);
  expect(subnetMistakes(['10.44.3.1/24', '10.45.0.0/24', 'fd00:44::/64'], settings.ranges)).toEqual([
    '10.44.3.1/24 is no CIDR without bits below its prefix',
    "10.45.0.0/24 lies outside of the cluster's range 10.44.0.0/16",
    'fd00:44::/64: the cluster has no IPv6 range',
  ]);
  expect(subnetMistakes(['10.44.0.0/24', '10.44.1.0/24'], settings.ranges)).toEqual([
    '10.44.1.0/24 is a second subnet of IPv4',
  ]);
  expect(subnetMistakes(['10.44.0.0/15'], settings.ranges)).toEqual([
    "10.44.0.0/15 lies outside of the cluster's range 10.44.0.0/16",
  ]);
});

test('who holds what another asks for', () => {
  const others = [
    ['a', ['10.44.0.0/24']],
    ['b', ['10.44.1.0/24', 'fd00:44::/64']],
  ] as const;
  expect(holderOf(['10.44.2.0/24'], others)).toBeUndefined();
  expect(holderOf(['10.44.0.0/20'], others)).toEqual({ name: 'a', subnet: '10.44.0.0/24' });
  expect(holderOf(['10.44.9.0/24', 'fd00:44::/64'], others)).toEqual({ name: 'b', subnet: 'fd00:44::/64' });
});
