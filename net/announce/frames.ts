import ipaddr from 'ipaddr.js';

const bytesOfMac = (mac: string): number[] => mac.split(':').map((part) => Number.parseInt(part, 16));
const bytesOfIp = (ip: string): number[] => ipaddr.parse(ip).toByteArray();
const everybody = 'ff:ff:ff:ff:ff:ff';
const allNodes = 'ff02::1';
const allNodesMac = '33:33:00:00:00:01';

/** An Ethernet frame that tells the neighbours of a link who has the address: gratuitous ARP, or a neighbour advertisement that nobody asked for. */
export const announcement = (ip: string, mac: string): Uint8Array =>
  ip.includes(':') ? neighbourAdvertisement(ip, mac) : gratuitousArp(ip, mac);

/** RFC 5227: a request in which sender and target are the address. */
function gratuitousArp(ip: string, mac: string): Uint8Array {
  const [own, address] = [bytesOfMac(mac), bytesOfIp(ip)];
  const ethernet = [...bytesOfMac(everybody), ...own, 0x08, 0x06];
  const request = [0, 1, 0x08, 0x00, 6, 4, 0, 1];
  return new Uint8Array([...ethernet, ...request, ...own, ...address, 0, 0, 0, 0, 0, 0, ...address]);
}

/** RFC 4861, section 7.2.6: not solicited, and what the neighbours remember is to be replaced. */
function neighbourAdvertisement(ip: string, mac: string): Uint8Array {
  const [own, address, to] = [bytesOfMac(mac), bytesOfIp(ip), bytesOfIp(allNodes)];
  const override = 0x20;
  const message = [136, 0, 0, 0, override, 0, 0, 0, ...address, 2, 1, ...own];
  const sum = checksum([...address, ...to, 0, 0, 0, message.length, 0, 0, 0, 58, ...message]);
  message[2] = sum >> 8;
  message[3] = sum & 0xff;
  const ip6 = [0x60, 0, 0, 0, 0, message.length, 58, 255, ...address, ...to];
  return new Uint8Array([...bytesOfMac(allNodesMac), ...own, 0x86, 0xdd, ...ip6, ...message]);
}

/** RFC 1071, of an even number of bytes. */
function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
