import { ptr } from 'bun:ffi';
import { openSockets } from '../link/libc.ts';

/** Puts Ethernet frames on a link of this process's namespace. Throws without CAP_NET_RAW. */
export type SendFrame = (linkIndex: number, frame: Uint8Array) => void;

const packetFamily = 17; // AF_PACKET
const rawCloexec = 3 | 0x80000; // SOCK_RAW | SOCK_CLOEXEC

export const sendFrame: SendFrame = (linkIndex, frame) => {
  const c = openSockets();
  const socket = c.socket(packetFamily, rawCloexec, 0);
  if (socket < 0) throw new Error('this process may not send frames (CAP_NET_RAW)');
  try {
    const to = new Uint8Array(20); // struct sockaddr_ll; the addresses are in the frame
    const view = new DataView(to.buffer);
    view.setUint16(0, packetFamily, true);
    view.setInt32(4, linkIndex, true);
    const sent = Number(c.sendto(socket, ptr(frame), BigInt(frame.length), 0, ptr(to), to.length));
    if (sent !== frame.length) throw new Error(`the link ${linkIndex} took no frame`);
  } finally {
    c.close(socket);
  }
};
