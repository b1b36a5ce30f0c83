import { PintleError } from '#base';
import { errors } from '../api/status.ts';
import { valueBytesMax } from './store.ts';

export const keyBytesMax = 2048; // a namespace (63), a name (253), a group (253) and a plural, four times over
const highest = '\u{10ffff}'; // a noncharacter: above every character a key may hold

/** Byte order of UTF-8, which is what SQLite and etcd sort by. JavaScript's own order differs only where surrogates occur. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  if (hasSurrogates.test(a) || hasSurrogates.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : 1;
}
const hasSurrogates = /[\ud800-\udfff]/;

/** Every key that starts with `prefix` is below this, and not below `prefix`. */
export const prefixEnd = (prefix: string): string => prefix + highest;

export function checkKey(key: string): void {
  if (key !== '' && !key.includes('\0') && !key.includes(highest) && key.isWellFormed()) {
    if (key.length * 3 <= keyBytesMax || Buffer.byteLength(key) <= keyBytesMax) return;
  }
  throw new PintleError(
    'STORE_KEY',
    `A store key must have 1 to ${keyBytesMax} bytes of well-formed text without NUL; this one has ${key.length} characters.`,
    'Report this: the apiserver must refuse such a name before it reaches the store.',
  );
}

export function checkValue(value: Uint8Array): void {
  if (value.byteLength > valueBytesMax)
    throw errors.tooLarge(`the object has ${value.byteLength} bytes; the store takes at most ${valueBytesMax}`);
}
