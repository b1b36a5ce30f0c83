import { expect, test } from 'bun:test';
import { addressesWithin, serviceSettingsOf } from './service-settings.ts';

test.each([
  [{}, {}],
  [{ externalIps: 'on' }, { externalIps: true }],
  [{ externalIps: 'off' }, { externalIps: undefined }],
  [
    { nodePortAddresses: '192.0.2.9/24, fd00::/64,10.0.0.1' },
    { nodePortAddresses: ['192.0.2.0/24', 'fd00::/64', '10.0.0.1/32'] },
  ],
  [{ nodePortAddresses: 'all' }, { nodePortAddresses: undefined }],
] as const)('%p', (flags, expected) => expect(serviceSettingsOf(flags)).toStrictEqual(expected as object));
test('what is no range is said', () =>
  expect(() => serviceSettingsOf({ nodePortAddresses: 'eth0' })).toThrow('--node-port-addresses eth0 is no range'));
test('addresses of this host', () => {
  expect(addressesWithin(undefined)).toBeUndefined();
  expect(addressesWithin(['127.0.0.0/8'])).toContain('127.0.0.1');
  expect(addressesWithin(['203.0.113.0/24'])).toEqual([]);
});
