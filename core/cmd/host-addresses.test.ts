import { expect, test } from 'bun:test';
import { readAddresses } from './host-addresses.ts';

test('addresses with their links, without those that no other host can use', () => {
  const text = JSON.stringify([
    { ifname: 'lo', mtu: 65_536, addr_info: [{ local: '127.0.0.1', prefixlen: 8, scope: 'host' }] },
    {
      ifname: 'eth0',
      mtu: 1_500,
      addr_info: [
        { local: '192.0.2.7', prefixlen: 24, scope: 'global' },
        { local: 'fe80::1', prefixlen: 64, scope: 'link' },
      ],
    },
    { ifname: 'veth1', mtu: 1_420, addr_info: [] },
    {},
  ]);
  expect(readAddresses(text)).toEqual([
    { link: 'eth0', cidr: '192.0.2.7/24', mtuBytes: 1_500 },
    { link: 'eth0', cidr: 'fe80::1/64', mtuBytes: 1_500 },
  ]);
  expect(readAddresses('')).toEqual([]);
});
