import { errors } from '#api';

export const depthMax = 100;
/** Values of one body. What a server spends on an object follows their number, not the bytes: 3 MiB of `{},` are a million. */
export const valuesMax = 65_536;
/** Beside them, of field owners: an object that was stored comes back with them, for each of its values up to some. */
const ownedMax = 4 * valuesMax;
/** Reported ones; what comes after them is dropped without a word. */
const duplicatesMax = 100;
interface Level {
  readonly isObject: boolean;
  /** In metadata.managedFields[*].fieldsV1. */
  readonly isOwners: boolean;
  /** Made with the first key: an empty object costs nothing. */
  keys: Set<string> | undefined;
  readonly path: string;
  key: string;
  index: number;
}

/**
 * One pass over JSON text before it is parsed: refuses nesting deeper than 100, more than 65,536 values, numbers beyond
 * 64 bits and `__proto__` keys; returns the paths of duplicate keys (`spec.containers[0].image`), which JSON.parse would drop silently.
 */
export function scanJson(
  text: string,
  /** Called with the path of every key, those that come again too. Only for texts with mistakes: it costs a text for each key. */
  onKey?: (path: string, isDuplicate: boolean) => void,
): { duplicates: string[]; bigNumber?: string } {
  let bigNumber: string | undefined;
  const duplicates: string[] = [];
  const levels: Level[] = [];
  let keyNext = false;
  let values = 0;
  let owned = 0;
  const count = (level: Level): void => {
    if (level.isOwners ? ++owned > ownedMax : ++values > valuesMax)
      throw errors.tooLarge(`Request entity too large: the body has more than ${valuesMax} values`);
  };
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const level = levels[levels.length - 1];
    if (code === 0x22) {
      const end = stringEnd(text, at);
      if (keyNext && level?.isObject) {
        count(level);
        level.keys ??= new Set();
        const raw = text.slice(at + 1, end);
        level.key = raw.includes('\\') ? unescapeKey(text.slice(at, end + 1)) : raw;
        if (level.key === '__proto__') throw errors.badRequest('the key "__proto__" is not allowed in an object');
        onKey?.(pathOf(level), level.keys.has(level.key));
        if (!level.keys.has(level.key)) level.keys.add(level.key);
        else if (duplicates.length < duplicatesMax) noteOnce(duplicates, pathOf(level));
        keyNext = false;
      }
      at = end;
    } else if (code === 0x7b || code === 0x5b) {
      if (levels.length >= depthMax) throw errors.badRequest(`the body is nested deeper than ${depthMax} levels`);
      const isObject = code === 0x7b;
      if (level && !level.isObject) count(level);
      const isOwners = level !== undefined && (level.isOwners || level.key === 'fieldsV1');
      levels.push({ isObject, isOwners, keys: undefined, path: level ? pathOf(level) : '', key: '', index: 0 });
      keyNext = isObject;
    } else if (code === 0x7d || code === 0x5d) {
      levels.pop();
      keyNext = false;
    } else if (code === 0x2c && level) {
      if (level.isObject) keyNext = true;
      else {
        level.index++;
        count(level);
      }
    } else if ((code >= 0x30 && code <= 0x39) || code === 0x2d) {
      const end = numberEnd(text, at);
      if (end - at > 3) bigNumber ??= checkNumber(text.slice(at, end));
      at = end - 1;
    }
  }
  return { duplicates, bigNumber };
}

/**
 * What strict decoding says of a text, in the order of the text, as a decoder that meets one key after the other says it.
 * What lies in an unknown field is not looked at.
 */
export function faultsInOrder(text: string, unknown: readonly string[]): string[] {
  const strange = new Set(unknown);
  const lines = new Set<string>();
  let skipped: string | undefined;
  scanJson(text, (path, isDuplicate) => {
    if (skipped !== undefined && (path.startsWith(`${skipped}.`) || path.startsWith(`${skipped}[`))) return;
    skipped = strange.has(path) ? path : undefined;
    if (skipped !== undefined) lines.add(`unknown field ${JSON.stringify(path)}`);
    else if (isDuplicate && lines.size < duplicatesMax) lines.add(`duplicate field ${JSON.stringify(path)}`);
  });
  return [...lines];
}

const noteOnce = (list: string[], text: string): void => {
  if (!list.includes(text)) list.push(text);
};
const pathOf = (level: Level): string =>
  level.isObject ? (level.path ? `${level.path}.${level.key}` : level.key) : `${level.path}[${level.index}]`;

function stringEnd(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = at - 1;
    while (text.charCodeAt(before) === 0x5c) before--;
    if ((at - before) % 2 === 1) return at; // an even run of backslashes escapes only itself
  }
  return text.length;
}

function unescapeKey(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted; // JSON.parse of the whole body reports it
  }
}

function numberEnd(text: string, start: number): number {
  let end = start + 1;
  const last = start + numberCharsMax + 1;
  while (end < last && isNumberCode(text.charCodeAt(end))) end++;
  return end;
}
/** The number itself, when it is one that only a bigint holds. */
function checkNumber(number: string): string | undefined {
  const kept = number.length > numberCharsMax ? 'no' : keeping(number);
  if (kept === 'no') throw errors.badRequest(`the number ${number.slice(0, 40)} is too large to be kept exactly`);
  return kept === 'as bigint' ? number : undefined;
}
const numberCharsMax = 400;
/** Digits, point, exponent and signs. */
const isNumberCode = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || code === 0x2e || code === 0x2b || code === 0x2d || code === 0x65 || code === 0x45;

const int64Max = 2n ** 63n - 1n;
/** Whether reading and writing it gives the same number: of 2^53+1 a double makes its neighbour, of 1e400 no number at all. */
function keeping(number: string): 'as number' | 'as bigint' | 'no' {
  const value = Number(number);
  if (Number.isNaN(value)) return 'as number'; // no number: JSON.parse says so
  if (!Number.isFinite(value)) return 'no';
  if (!/^-?\d+$/.test(number) || Number.isSafeInteger(value)) return 'as number';
  const integer = BigInt(number);
  if (integer <= int64Max && integer >= -int64Max - 1n) return 'as bigint';
  return BigInt(value) === integer || String(value) === number ? 'as number' : 'no';
}
