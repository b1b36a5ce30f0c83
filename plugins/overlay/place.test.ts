import { expect, test } from 'bun:test';
import { hiddenNetworks, placeOf } from './place.ts';

const at = (link: string, cidr: string, mtuBytes = 1_500) => ({ link, cidr, mtuBytes });
const links = [
  at('pintle0', '10.44.3.1/24', 1_440),
  at('eth0', '192.0.2.7/24'),
  at('eth0', 'fe80::1/64'),
  at('eth0', '2001:db8::7/64'),
  at('eth1', '198.51.100.7/24', 9_000),
];
const ranges = ['10.44.0.0/16'];

test.each([
  ['where it was made known', '198.51.100.7', undefined, { endpoint: '198.51.100.7', link: 'eth1', mtuBytes: 9_000 }],
  [
    'another address of the same link',
    '192.0.2.1',
    'eth1',
    { endpoint: '198.51.100.7', link: 'eth1', mtuBytes: 9_000 },
  ],
  ['any of the same family', '192.0.2.1', undefined, { endpoint: '192.0.2.7', link: 'eth0', mtuBytes: 1_500 }],
  ['IPv6', '2001:db8::1', undefined, { endpoint: '2001:db8::7', link: 'eth0', mtuBytes: 1_500 }],
])('a host stands %s', (_, nodeIp, formerLink, place) => {
  expect(placeOf(nodeIp, links, ranges, formerLink)).toEqual(place);
});
test('never at an address of its pods; without any other at the one it was made known by', () => {
  expect(placeOf('10.44.3.1', links.slice(0, 1), ranges)).toEqual({ endpoint: '10.44.3.1', mtuBytes: 1_500 });
  expect(placeOf('10.44.3.1', links, ranges).endpoint).toBe('192.0.2.7');
});

test.each([
  ['nothing in the way', links, []],
  ['a network inside of the range', [at('eth2', '10.44.200.9/24')], ['eth2 10.44.200.9/24']],
  ['a network around the range', [at('eth2', '10.0.0.5/8')], ['eth2 10.0.0.5/8']],
  ['the bridge with the whole range on it', [at('pintle0', '10.44.3.1/16')], []],
  ['the tunnel with one address', [at('pw1', '10.44.3.0/32')], []],
  ['another family', [at('eth2', 'fd00::1/64')], []],
])('%s', (_, given, hidden) => {
  expect(hiddenNetworks(given, ranges, ['10.44.3.0/24'])).toEqual(hidden);
});
