import { dlopen, FFIType } from 'bun:ffi';

/** Sockets that Bun has no words for. Throws where there is no C library with them. */
export function openSockets() {
  const { i32, ptr: pointer, i64, u64 } = FFIType;
  const address = [pointer, i32] as const;
  for (const name of ['libc.so.6', 'libc.so', `ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`])
    try {
      return dlopen(name, {
        socket: { args: [i32, i32, i32], returns: i32 },
        setsockopt: { args: [i32, i32, i32, pointer, i32], returns: i32 },
        sendto: { args: [i32, pointer, u64, i32, ...address], returns: i64 },
        recvfrom: { args: [i32, pointer, u64, i32, pointer, pointer], returns: i64 },
        close: { args: [i32], returns: i32 },
      }).symbols;
    } catch {} // another C library
  throw new Error('no C library with sockets was found');
}
