/** ICMP and ICMPv6 echo messages. Sizes are of the whole packet, IP header included. */
export type Family = 4 | 6;
export const familyOf = (address: string): Family => (address.includes(':') ? 6 : 4);
const headerBytes = { 4: 20, 6: 40 } as const;
const requestType = { 4: 8, 6: 128 } as const;
const replyType = { 4: 0, 6: 129 } as const;
/** IP header, type, code, checksum, id and sequence. */
export const sizeBytesMin = (family: Family): number => headerBytes[family] + 8;

/** What goes into a raw socket for a packet of that size: the kernel adds the IP header (and the checksum of ICMPv6). */
export function echoRequest(family: Family, id: number, sequence: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(8, sizeBytes - headerBytes[family]));
  const view = new DataView(bytes.buffer);
  bytes[0] = requestType[family];
  view.setUint16(4, id);
  view.setUint16(6, sequence);
  if (family === 4) view.setUint16(2, checksum(bytes));
  return bytes;
}

/** The answer to one of ours; undefined for anything else. For IPv4 a raw socket gives the IP header too. */
export function readEchoReply(family: Family, packet: Uint8Array, id: number): { sequence: number } | undefined {
  const start = family === 4 ? (packet[0]! & 15) * 4 : 0;
  if (packet.length < start + 8 || packet[start] !== replyType[family]) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset + start);
  return view.getUint16(4) === id ? { sequence: view.getUint16(6) } : undefined;
}

/** The Internet checksum (RFC 1071). */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2) sum += (bytes[index]! << 8) | (bytes[index + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
