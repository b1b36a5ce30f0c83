/**
 * Holds frames back between two taps, for kernels with and without netem alike. A program of its own:
 *   bun delay-relay.ts TAP TAP DELAY_MS JITTER_MS LOSS_PERCENT
 * It makes both taps in the network namespace it runs in, prints `ready`, and carries on until it is killed; the taps go with it.
 */
import { dlopen, FFIType, ptr } from 'bun:ffi';
import { constants, openSync } from 'node:fs';
import { HoldQueue } from './hold-queue.ts';

const { symbols: libc } = dlopen('libc.so.6', {
  ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  ppoll: { args: [FFIType.ptr, FFIType.u64, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
  read: { args: [FFIType.i32, FFIType.ptr, FFIType.u64], returns: FFIType.i64 },
  write: { args: [FFIType.i32, FFIType.ptr, FFIType.u64], returns: FFIType.i64 },
});
const tunSetInterface = 0x4004_54ca; // TUNSETIFF
const tapWithoutHeader = 0x0002 | 0x1000; // IFF_TAP | IFF_NO_PI
const pollIn = 1;
const frameBytesMax = 65_536;
const burstFramesMax = 256; // from one side before the other is looked at
const idleMs = 1_000;

function openTap(name: string): number {
  const descriptor = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK);
  const request = new Uint8Array(40); // struct ifreq: 16 bytes of name, then the flags
  request.set(new TextEncoder().encode(name).subarray(0, 15));
  new DataView(request.buffer).setUint16(16, tapWithoutHeader, true);
  if (libc.ioctl(descriptor, tunSetInterface, ptr(request)) !== 0) throw new Error(`cannot make the tap ${name}`);
  return descriptor;
}

const [left, right, ...numbers] = process.argv.slice(2);
const [delayMs = 0, jitterMs = 0, lossPercent = 0] = numbers.map(Number);
const descriptors = [openTap(left!), openTap(right!)] as const;
const queues = descriptors.map(() => new HoldQueue({ delayMs, jitterMs, lossPercent, random: Math.random }));
const buffer = new Uint8Array(frameBytesMax);
const polled = new Int32Array(4); // two of struct pollfd
const events = new Int16Array(polled.buffer);
const wait = new BigInt64Array(2); // struct timespec
process.stdout.write('ready\n');

/** Frames that came in at `side`, into the queue of what goes out at the other one. */
function takeIn(side: 0 | 1): void {
  for (let count = 0; count < burstFramesMax; count++) {
    const size = Number(libc.read(descriptors[side], ptr(buffer), frameBytesMax));
    if (size <= 0) return;
    queues[1 - side]!.put(buffer.slice(0, size), performance.now());
  }
}

for (;;) {
  const now = performance.now();
  let untilMs = idleMs;
  for (const side of [0, 1] as const) {
    for (let frame = queues[side]!.due(now); frame; frame = queues[side]!.due(now))
      libc.write(descriptors[side], ptr(frame), frame.length);
    untilMs = Math.min(untilMs, queues[side]!.untilMs(now));
    polled[side * 2] = descriptors[side];
    events[side * 4 + 2] = pollIn;
    events[side * 4 + 3] = 0;
  }
  wait[0] = BigInt(Math.floor(untilMs / 1000));
  wait[1] = BigInt(Math.floor((untilMs % 1000) * 1e6));
  libc.ppoll(ptr(polled), 2, ptr(wait), null);
  for (const side of [0, 1] as const) if (events[side * 4 + 3]! & pollIn) takeIn(side);
}
