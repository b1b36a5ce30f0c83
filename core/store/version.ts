import { assert } from '#base';
import type { ResourceVersion } from '../api/meta.ts';

/** Versions are epoch * 2^40 + revision. A restore raises the epoch, so that every version handed out before it is Expired. */
export const epochSize = 2 ** 40; // 2^13 epochs fit: 2^40 * 2^13 = 2^53, versions stay exact as JavaScript numbers

export const versionText = (version: number): ResourceVersion => {
  assert(Number.isSafeInteger(version) && version >= 0, `not a version: ${version}`);
  return String(version) as ResourceVersion;
};

/** A version no store of ours can have issued is larger than every real one. */
export const versionNumber = (text: ResourceVersion): number => {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : Number.MAX_SAFE_INTEGER;
};

/** The first version of the epoch after those of all these versions. */
export const nextEpoch = (...versions: readonly number[]): number =>
  (Math.floor(Math.max(...versions) / epochSize) + 1) * epochSize;
