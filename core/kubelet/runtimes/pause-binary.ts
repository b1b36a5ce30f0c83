/**
 * The pause program: holds a pod's namespaces, ends at once on SIGTERM or SIGINT (blocked and waited for, because the
 * first process of a pid namespace ignores signals without a handler), and lets the kernel reap orphans (SIGCHLD ignored).
 * A static ELF of a few hundred bytes, assembled here, so that no compiler, registry or C library is needed.
 */
const signals = (1n << 14n) | (1n << 1n); // bit n-1 for SIGTERM (15) and SIGINT (2)
const base = 0x400000;
const headerBytes = 64 + 56;

export function pauseBinary(arch: string): Uint8Array {
  if (arch === 'x64') return elf(62, amd64());
  if (arch === 'arm64') return elf(183, arm64());
  throw new Error(`no pause program for the processor ${arch}`);
}

/** Code, then `set` (8 bytes), then `action` (32 bytes: handler, flags, restorer, mask). */
function withData(code: readonly number[]): Uint8Array {
  const padded = Math.ceil(code.length / 8) * 8;
  const out = new Uint8Array(padded + 8 + 32);
  out.set(code);
  const view = new DataView(out.buffer);
  view.setBigUint64(padded, signals, true);
  view.setBigUint64(padded + 8, 1n, true); // SIG_IGN
  return out;
}

function amd64(): Uint8Array {
  const length = 96; // of the code below, rounded up
  const code: number[] = [];
  const imm = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];
  const lea = (register: 'rsi' | 'rdi', target: number) => {
    code.push(0x48, 0x8d, register === 'rsi' ? 0x35 : 0x3d);
    code.push(...imm(target - (code.length + 4))); // relative to the next instruction
  };
  const eax = (value: number) => code.push(0xb8, ...imm(value));
  const r10of8 = () => code.push(0x41, 0xba, ...imm(8));
  const zero = { edi: [0x31, 0xff], esi: [0x31, 0xf6], edx: [0x31, 0xd2] };
  const syscall = () => code.push(0x0f, 0x05);
  eax(13); // rt_sigaction(SIGCHLD, &action, 0, 8)
  code.push(0xbf, ...imm(17));
  lea('rsi', length + 8);
  code.push(...zero.edx);
  r10of8();
  syscall();
  eax(14); // rt_sigprocmask(SIG_BLOCK, &set, 0, 8)
  code.push(...zero.edi);
  lea('rsi', length);
  code.push(...zero.edx);
  r10of8();
  syscall();
  const loop = code.length;
  eax(128); // rt_sigtimedwait(&set, 0, 0, 8)
  lea('rdi', length);
  code.push(...zero.esi, ...zero.edx);
  r10of8();
  syscall();
  code.push(0x85, 0xc0); // test eax, eax
  code.push(0x78, (loop - (code.length + 2)) & 255); // js loop: interrupted
  eax(60); // exit(0)
  code.push(...zero.edi);
  syscall();
  while (code.length < length) code.push(0x90);
  if (code.length !== length) throw new Error('the pause program outgrew its frame');
  return withData(code);
}

function arm64(): Uint8Array {
  const length = 88;
  const words: number[] = [];
  const mov = (register: number, value: number) => words.push((0xd2800000 | (value << 5) | register) >>> 0);
  const adr = (register: number, target: number) => {
    const offset = target - words.length * 4;
    words.push((((offset & 3) << 29) | 0x10000000 | (((offset >> 2) & 0x7ffff) << 5) | register) >>> 0);
  };
  const call = (number: number) => {
    mov(8, number);
    words.push(0xd4000001);
  };
  mov(0, 17); // rt_sigaction(SIGCHLD, &action, 0, 8)
  adr(1, length + 8);
  mov(2, 0);
  mov(3, 8);
  call(134);
  mov(0, 0); // rt_sigprocmask(SIG_BLOCK, &set, 0, 8)
  adr(1, length);
  mov(2, 0);
  mov(3, 8);
  call(135);
  const loop = words.length;
  adr(0, length); // rt_sigtimedwait(&set, 0, 0, 8)
  mov(1, 0);
  mov(2, 0);
  mov(3, 8);
  call(137);
  words.push((0x37f80000 | (((loop - words.length) & 0x3fff) << 5)) >>> 0); // tbnz w0, #31, loop: interrupted
  mov(0, 0);
  call(93); // exit(0)
  while (words.length * 4 < length) words.push(0xd503201f);
  if (words.length * 4 !== length) throw new Error('the pause program outgrew its frame');
  return withData([...new Uint8Array(Uint32Array.from(words).buffer)]);
}

function elf(machine: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(headerBytes + body.length);
  const view = new DataView(out.buffer);
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // 64 bit, little endian
  view.setUint16(16, 2, true); // executable
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(base + headerBytes), true); // entry
  view.setBigUint64(32, 64n, true); // program header
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(68, 5, true); // read and execute
  view.setBigUint64(80, BigInt(base), true);
  view.setBigUint64(88, BigInt(base), true);
  view.setBigUint64(96, BigInt(out.length), true);
  view.setBigUint64(104, BigInt(out.length), true);
  view.setBigUint64(112, 0x1000n, true);
  out.set(body, headerBytes);
  return out;
}
