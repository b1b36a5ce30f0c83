import { CString, dlopen, read } from 'bun:ffi';
import { lstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One step towards a container's root; paths are inside it and begin with a slash. */
export type RootStep =
  /** A file system in memory there. */
  | { readonly type: 'memory'; readonly path: string }
  | { readonly type: 'link'; readonly path: string; readonly target: string }
  /** A folder (its missing parents too) or an empty file. No link is followed below `within`, which a pod may have written to. */
  | { readonly type: 'point'; readonly path: string; readonly file: boolean; readonly within?: string }
  /** An optional one is left out where this user may not see it. */
  | { readonly type: 'bind'; readonly from: string; readonly path: string; readonly optional?: boolean }
  /** Of everything mounted at and below. */
  | { readonly type: 'access'; readonly path: string; readonly readOnly: boolean };

const bindFlags = 0x1000n | 0x4000n; // MS_BIND | MS_REC
const memoryOptions = 'size=16m,mode=755'; // holds mount points; what a program writes beside its volumes
const callMountSetattr = 442; // the same number on every processor
const atFdCwd = -100;
const atRecursive = 0x8000;
const attributeReadOnly = 1n;

/**
 * Carries out the steps at `root`, an empty folder, for good: only in a mount namespace of one's own, which takes all
 * of it away when its last process ends. Throws what the kernel refused.
 */
export function buildRoot(root: string, steps: readonly RootStep[], hostname?: string): void {
  const libc = openLibc();
  const fail = (what: string): never => {
    throw new Error(`${what}: ${libc.error()}`);
  };
  if (hostname !== undefined && libc.setHostname(hostname) !== 0) fail(`set the host name ${hostname}`);
  for (const step of steps) {
    const path = join(root, step.path);
    switch (step.type) {
      case 'memory':
        if (libc.mount('tmpfs', path, 'tmpfs', 0n, memoryOptions) !== 0) fail(`mount memory at ${step.path}`);
        break;
      case 'link':
        symlinkSync(step.target, path);
        break;
      case 'point':
        makePoint(root, step);
        break;
      case 'bind':
        if (libc.mount(step.from, path, null, bindFlags, null) !== 0 && !step.optional)
          fail(`mount ${step.from} at ${step.path}`);
        break;
      case 'access':
        if (libc.setReadOnly(path, step.readOnly) !== 0) fail(`make ${step.path} read-only`);
    }
  }
}

function makePoint(root: string, step: Extract<RootStep, { type: 'point' }>): void {
  const parts = step.path.split('/').filter(Boolean);
  const trusted = step.within?.split('/').filter(Boolean).length ?? 0;
  parts.forEach((_part, index) => {
    const path = join(root, ...parts.slice(0, index + 1));
    const state = lstatSync(path, { throwIfNoEntry: false });
    if (state?.isSymbolicLink() && index >= trusted)
      throw new Error(`${step.path} leads over a link that is inside a volume`);
    if (state) return;
    if (step.file && index === parts.length - 1) writeFileSync(path, '');
    else mkdirSync(path, { mode: 0o755 });
  });
}

const text = (value: string | null) => (value === null ? null : Buffer.from(`${value}\0`));

function openLibc() {
  const names = ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`];
  for (const name of names) {
    try {
      const { symbols } = dlopen(name, {
        mount: { args: ['ptr', 'ptr', 'ptr', 'u64', 'ptr'], returns: 'int' },
        sethostname: { args: ['ptr', 'u64'], returns: 'int' },
        syscall: { args: ['i64', 'i64', 'ptr', 'u64', 'ptr', 'u64'], returns: 'i64' },
        strerror: { args: ['int'], returns: 'ptr' },
        __errno_location: { args: [], returns: 'ptr' },
      });
      return {
        mount: (from: string, to: string, type: string | null, flags: bigint, options: string | null): number =>
          symbols.mount(text(from), text(to), text(type), flags, text(options)),
        setHostname: (value: string): number => symbols.sethostname(text(value), Buffer.byteLength(value)),
        setReadOnly(path: string, readOnly: boolean): number {
          const attributes = new BigUint64Array(
            readOnly ? [attributeReadOnly, 0n, 0n, 0n] : [0n, attributeReadOnly, 0n, 0n],
          );
          return Number(
            symbols.syscall(callMountSetattr, atFdCwd, text(path), atRecursive, attributes, attributes.byteLength),
          );
        },
        error(): string {
          const place = symbols.__errno_location();
          const words = place === null ? null : symbols.strerror(read.i32(place, 0));
          return words === null ? 'unknown error' : new CString(words).toString();
        },
      };
    } catch {} // the other C library
  }
  throw new Error('the C library was not found');
}
