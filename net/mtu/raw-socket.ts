import { ptr } from 'bun:ffi';
import ipaddr from 'ipaddr.js';
import { PintleError } from '#base';
import { openSockets } from '../link/libc.ts';
import { type Family, familyOf } from './echo.ts';

/** Echo messages in and out, never fragmented, whatever the kernel believes of the way. Opened in the namespace of its process. */
export interface EchoSocket extends Disposable {
  /** False when the kernel does not take it: larger than the device's own MTU, or no way there. */
  send(address: string, message: Uint8Array): boolean;
  /** What has come, at once; undefined when nothing has. */
  receive(): { readonly from: string; readonly packet: Uint8Array } | undefined;
}
export type OpenEchoSocket = (family: Family) => EchoSocket;

const domain = { 4: 2, 6: 10 } as const; // AF_INET, AF_INET6
const protocol = { 4: 1, 6: 58 } as const; // ICMP, ICMPv6
const rawNonBlocking = 3 | 0x800 | 0x80000; // SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC
/** Level, option: IP_MTU_DISCOVER and IPV6_MTU_DISCOVER; 3 sends with "do not fragment" and asks no memory of the way. */
const discover = { 4: [0, 10], 6: [41, 23] } as const;
const probing = 3;
const packetBytesMax = 65_536;

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(address: string): Uint8Array {
  const bytes = new Uint8Array(familyOf(address) === 4 ? 16 : 28);
  bytes[0] = domain[familyOf(address)]; // in the machine's order: little-endian wherever Bun runs
  bytes.set(ipaddr.parse(address).toByteArray(), familyOf(address) === 4 ? 4 : 8);
  return bytes;
}

export const openEchoSocket: OpenEchoSocket = (family) => {
  const c = openSockets();
  const socket = c.socket(domain[family], rawNonBlocking, protocol[family]);
  if (socket < 0)
    throw new PintleError(
      'NO_RAW_SOCKET',
      `this process may not send echo messages of IPv${family}: the MTU of the way to other hosts is not measured`,
      'run it with CAP_NET_RAW',
    );
  const [level, option] = discover[family];
  c.setsockopt(socket, level, option, ptr(new Int32Array([probing])), 4);
  const packet = new Uint8Array(packetBytesMax);
  const from = new Uint8Array(28);
  const fromLength = new Int32Array(1);
  return {
    send(address, message) {
      const to = socketAddress(address);
      return Number(c.sendto(socket, ptr(message), BigInt(message.length), 0, ptr(to), to.length)) === message.length;
    },
    receive() {
      fromLength[0] = from.length;
      const length = Number(c.recvfrom(socket, ptr(packet), BigInt(packet.length), 0, ptr(from), ptr(fromLength)));
      if (length <= 0) return undefined;
      const start = family === 4 ? 4 : 8;
      const address = ipaddr.fromByteArray([...from.subarray(start, start + (family === 4 ? 4 : 16))]);
      return { from: address.toString(), packet: packet.slice(0, length) };
    },
    [Symbol.dispose]: () => void c.close(socket),
  };
};
