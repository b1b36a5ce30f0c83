import { expect, test } from 'bun:test';
import { checkedAddress } from './address.ts';

test.each([
  '127.0.0.1',
  '::1',
  '::ffff:127.0.0.1',
  '169.254.169.254',
  '::ffff:169.254.169.254',
  'fe80::1',
  'fd00:ec2::254',
  '0.0.0.0',
  '::',
  '224.0.0.1',
  '255.255.255.255',
  'localhost',
  '10.0.0.1/8',
  '',
])('%p is refused', (address) => {
  expect(() => checkedAddress(address, ['127.7.0.0/16'])).toThrow('address not allowed');
});

test('in the cluster’s own range only live addresses', () => {
  const isLive = (address: string) => address === '127.7.0.3';
  expect(checkedAddress('127.7.0.3', ['127.7.0.0/16'], isLive)).toBe('127.7.0.3');
  expect(() => checkedAddress('127.7.0.4', ['127.7.0.0/16'], isLive)).toThrow('address not allowed');
  expect(() => checkedAddress('127.0.0.1', ['127.7.0.0/16'], () => true)).toThrow('address not allowed');
});

test.each([
  ['10.244.1.5', '10.244.1.5'],
  ['192.168.1.1', '192.168.1.1'],
  ['8.8.8.8', '8.8.8.8'],
  ['fd12::5', 'fd12::5'],
  ['127.7.0.3', '127.7.0.3'],
])('%s is connected to', (address, connected) => {
  expect(checkedAddress(address, ['127.7.0.0/16'])).toBe(connected);
});
