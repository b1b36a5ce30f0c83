import { expect, test } from 'bun:test';
import { planHold } from './device.ts';
import { announcement } from './frames.ts';

const mac = '0a:58:0a:01:02:03';
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('gratuitous ARP: a request to everybody in which sender and target are the address', () => {
  expect(hex(announcement('192.0.2.64', mac))).toBe(
    `ffffffffffff0a580a0102030806${'0001080006040001'}0a580a010203c0000240000000000000c0000240`,
  );
});

test('neighbour advertisement: to all nodes, to override, with a checksum that is right', () => {
  const frame = announcement('fd00::64', mac);
  expect(hex(frame.subarray(0, 22))).toBe('3333000000010a580a01020386dd6000000000203aff');
  // Over the pseudo header and the message, sum included, RFC 1071 gives all ones.
  const message = frame.subarray(54);
  const pseudo = [...frame.subarray(22, 54), 0, 0, 0, message.length, 0, 0, 0, 58, ...message];
  let sum = 0;
  for (let at = 0; at < pseudo.length; at += 2) sum += (pseudo[at]! << 8) | pseudo[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  expect(sum).toBe(0xffff);
  expect(hex(message.subarray(0, 2))).toBe('8800');
  expect(hex(message.subarray(4, 24))).toBe('20000000fd000000000000000000000000000064');
});

const eth0 = {
  ...{ ifindex: 2, ifname: 'eth0', address: mac, flags: ['UP', 'BROADCAST'] },
  addr_info: [{ local: '192.0.2.2', prefixlen: 24 }],
};
const plan = (ips: string[], present: object | undefined = undefined, proxied: { dst: string; dev: string }[] = []) =>
  planHold({ device: 'pa1', nodeIp: '192.0.2.2', ips, present: present as never, links: [eth0], proxied });

test('what is missing is added, what is no longer wanted is taken away, what is there stays', () => {
  expect(plan(['192.0.2.64', 'fd00::64'])).toEqual([
    'link add name pa1 type bridge',
    'link set dev pa1 up',
    'address add 192.0.2.64/32 dev pa1',
    'address add fd00::64/128 dev pa1 nodad',
    'neigh add proxy fd00::64 dev eth0',
  ]);
  const present = {
    ...{ ifindex: 9, ifname: 'pa1', flags: ['UP'] },
    addr_info: [
      { local: '192.0.2.64', prefixlen: 32 },
      { local: 'fd00::64', prefixlen: 128 },
      { local: 'fe80::1', prefixlen: 64 },
    ],
  };
  const entry = { dst: 'fd00::64', dev: 'eth0' };
  const foreign = { dst: 'fd00::99', dev: 'eth0' };
  expect(plan(['192.0.2.64', 'fd00::64'], present, [entry, foreign])).toEqual([]);
  expect(plan(['192.0.2.65'], present, [entry, foreign])).toEqual([
    'address delete 192.0.2.64/32 dev pa1',
    'address delete fd00::64/128 dev pa1',
    'address add 192.0.2.65/32 dev pa1',
    'neigh delete proxy fd00::64 dev eth0',
  ]);
});
