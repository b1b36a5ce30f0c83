import { dlopen, FFIType } from 'bun:ffi';
import { closeSync, existsSync, fstatSync, openSync, statSync } from 'node:fs';
import { PintleError } from '#base';
import type { Home } from './home.ts';
import { waitUntil } from './processes.ts';
import type { Progress } from './progress.ts';

const exclusiveNow = 2 | 4; // LOCK_EX | LOCK_NB of flock(2)
let flock: ((descriptor: number, operation: number) => number) | undefined;

function systemFlock(): (descriptor: number, operation: number) => number {
  for (const name of ['libc.so.6', 'libc.so', `ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`])
    try {
      return dlopen(name, { flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } }).symbols.flock;
    } catch {} // another C library
  throw new Error('no C library with flock(2) was found');
}

/**
 * Takes HOME/run/NAME.lock, which the kernel gives back when this process ends in whatever way. Undefined when another
 * process holds it. `supervisor`: for the life of the cluster; `change`: while `up` or `down` alters the home.
 */
export function tryLock(home: Home, name: 'supervisor' | 'change'): Disposable | undefined {
  flock ??= systemFlock();
  const path = home.path('run', `${name}.lock`);
  const descriptor = openSync(path, 'a', 0o600); // close-on-exec: children do not inherit it
  const held = flock(descriptor, exclusiveNow) === 0 && sameFile(descriptor, path);
  if (held) return { [Symbol.dispose]: () => closeSync(descriptor) };
  closeSync(descriptor);
  return undefined;
}

const momentMsMax = 3_000;
/** For the life of the cluster. Who only looks whether somebody keeps it holds the lock for a moment, longer on a busy machine. */
export async function lockForLife(home: Home): Promise<Disposable | undefined> {
  let lock: Disposable | undefined;
  await waitUntil(() => (lock ??= tryLock(home, 'supervisor')) !== undefined, momentMsMax, 20);
  return lock;
}

const turnLimitMs = 150_000; // longer than an `up` may take

/** Waits until no other `up` or `down` alters this home. The home's folders must exist. */
export async function takeTurn(home: Home, progress: Progress): Promise<Disposable> {
  let lock = tryLock(home, 'change');
  if (lock) return lock;
  await progress.step(`waiting for another ./pintle up or down in ${home.folder}`, () =>
    waitUntil(() => (lock ??= tryLock(home, 'change')) !== undefined, turnLimitMs, 50),
  );
  if (lock) return lock;
  throw new PintleError(
    'HOME_BUSY',
    `another ./pintle up or down has been at work in ${home.folder} for ${turnLimitMs / 1000} s`,
    'end that one, or name another folder with --home',
  );
}

/** True while a supervisor keeps the cluster of this home. */
export function supervisorRuns(home: Home): boolean {
  const lock = existsSync(home.path('run')) ? tryLock(home, 'supervisor') : undefined;
  if (!lock) return existsSync(home.path('run'));
  lock[Symbol.dispose]();
  return false;
}

/** False when the home was removed, or made anew, between opening and locking. */
function sameFile(descriptor: number, path: string): boolean {
  return fstatSync(descriptor).ino === statSync(path, { throwIfNoEntry: false })?.ino;
}
