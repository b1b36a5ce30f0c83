import { closeSync, openSync, readSync, statSync } from 'node:fs';

/**
 * SQLite reads its write-ahead log up to the first frame whose checksum fails and takes everything behind it for never written.
 * That is right for a torn last transaction and wrong for a damaged byte in the middle: acknowledged writes would vanish in
 * silence. A transaction starts only after the one before it was synced, so a sound frame of a later transaction behind a broken
 * one proves that something acknowledged is damaged. Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 */
export interface WalReport {
  /** Frames up to the first broken one. */
  readonly soundFrames: number;
  /** Acknowledged writes are lost behind `soundFrames`. */
  readonly damaged: boolean;
}

const headerBytes = 32;
const frameHeadBytes = 24;
const magic = 0x377f0682; // its lowest bit says that the checksums read big-endian words

/** Undefined: there is no log, or an empty one. */
export function scanWalFile(path: string): WalReport | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size === 0) return undefined;
  const file = openSync(path, 'r');
  try {
    return scanWal(size, (into, at) => readSync(file, into, 0, into.length, at));
  } finally {
    closeSync(file);
  }
}

/** `read` fills the array from this offset of the log. */
export function scanWal(size: number, read: (into: Uint8Array, at: number) => void): WalReport {
  const none = { soundFrames: 0, damaged: false };
  if (size < headerBytes) return none;
  const header = words(headerBytes, 0, read);
  const pageBytes = header.big(2);
  const salts = [header.big(4), header.big(5)];
  const bigEndian = (header.big(0) & 1) === 1;
  const start = checksum(header, 0, 6, bigEndian, [0, 0]);
  const isSound = (header.big(0) & ~1) === magic && start[0] === header.big(6) && start[1] === header.big(7);
  if (!isSound || pageBytes < 512) return { soundFrames: 0, damaged: size > headerBytes };
  const frameBytes = frameHeadBytes + pageBytes;
  let sum = start;
  let soundFrames = 0;
  let broken = false;
  let endedAfterBreak = false;
  for (let at = headerBytes; at + frameBytes <= size; at += frameBytes) {
    const frame = words(frameBytes, at, read);
    // Frames of an earlier generation of the log lie behind the newest one.
    if (frame.big(2) !== salts[0] || frame.big(3) !== salts[1]) {
      if (!broken && !hasLater(at + frameBytes, frameBytes, size, salts, read)) break;
      broken = true;
      sum = [frame.big(4), frame.big(5)];
      continue;
    }
    const head = checksum(frame, 0, 2, bigEndian, sum);
    const expected = checksum(frame, frameHeadBytes / 4, pageBytes / 4, bigEndian, head);
    const stored: Sum = [frame.big(4), frame.big(5)];
    const matches = expected[0] === stored[0] && expected[1] === stored[1];
    if (matches && endedAfterBreak) return { soundFrames, damaged: true };
    if (!matches) broken = true;
    if (!broken) soundFrames++;
    if (broken && frame.big(1) !== 0) endedAfterBreak = true; // the page count is set in the last frame of a transaction
    sum = stored;
  }
  return { soundFrames, damaged: false };
}

/** Whether the next frame belongs to this generation of the log, so that the one before it must have, too. */
function hasLater(at: number, frameBytes: number, size: number, salts: number[], read: Read): boolean {
  if (at + frameBytes > size) return false;
  const head = words(frameHeadBytes, at, read);
  return head.big(2) === salts[0] && head.big(3) === salts[1];
}

type Read = (into: Uint8Array, at: number) => void;
type Sum = readonly [number, number];
interface Words {
  readonly little: Uint32Array;
  big(index: number): number;
}

function words(length: number, at: number, read: Read): Words {
  const bytes = new Uint8Array(length);
  read(bytes, at);
  const view = new DataView(bytes.buffer);
  return { little: new Uint32Array(bytes.buffer), big: (index) => view.getUint32(4 * index) };
}

function checksum(from: Words, start: number, count: number, bigEndian: boolean, [first, second]: Sum): Sum {
  let a = first | 0;
  let b = second | 0;
  for (let index = start; index < start + count; index += 2) {
    a = (a + (bigEndian ? from.big(index) : from.little[index]!) + b) | 0;
    b = (b + (bigEndian ? from.big(index + 1) : from.little[index + 1]!) + a) | 0;
  }
  return [a >>> 0, b >>> 0];
}
