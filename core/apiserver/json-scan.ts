import { errors } from '#api';

export const depthMax = 100;
/** Values of one body. What a server spends on an object follows their number, not the bytes: 3 MiB of `{},` are a million. */
export const valuesMax = 65_536;
/** Beside them, of field owners: an object that was stored comes back with them, for each of its values up to some. */
const ownedMax = 4 * valuesMax;
/** Reported ones; what comes after them is dropped without a word. */
const duplicatesMax = 100;
/** Keys of one object up to here are compared one by one; a set for each small object costs more than all its comparisons. */
const listedKeysMax = 12;

class Level {
  isObject = false;
  /** In metadata.managedFields[*].fieldsV1. */
  isOwners = false;
  key = '';
  index = 0;
  #count = 0;
  readonly #listed: string[] = [];
  #set: Set<string> | undefined;

  reset(isObject: boolean, isOwners: boolean): void {
    this.isObject = isObject;
    this.isOwners = isOwners;
    this.key = '';
    this.index = 0;
    this.#count = 0;
    this.#set = undefined;
  }
  /** False when the object has it already. */
  add(key: string): boolean {
    if (this.#set) return this.#set.size < this.#set.add(key).size;
    const listed = this.#listed;
    for (let index = 0; index < this.#count; index++) if (listed[index] === key) return false;
    if (this.#count < listedKeysMax) listed[this.#count++] = key;
    else this.#set = new Set([...listed, key]);
    return true;
  }
  /** What was kept are parts of a body. */
  forget(): void {
    this.reset(false, false);
    this.#listed.length = 0;
  }
}

/** Called with the path of every key, those that come again too. Only for texts with mistakes: it costs a text for each key. */
type OnKey = (path: string, isDuplicate: boolean) => void;

/** One pass over JSON text; see scanJson. The levels are kept from scan to scan: nothing in a scan waits. */
class Scan {
  readonly #levels = Array.from({ length: depthMax }, () => new Level());
  #depth = 0;
  #deepest = 0;
  #values = 0;
  #owned = 0;
  duplicates: string[] = [];
  bigNumber: string | undefined;

  run(text: string, onKey?: OnKey): void {
    let keyNext = false;
    let level: Level | undefined;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        const end = stringEnd(text, at);
        if (keyNext && level?.isObject) {
          this.#key(level, text, at, end, onKey);
          keyNext = false;
        }
        at = end;
      } else if (code === 0x7b || code === 0x5b) {
        level = this.#open(level, code === 0x7b);
        keyNext = code === 0x7b;
      } else if (code === 0x7d || code === 0x5d) {
        if (this.#depth > 0) this.#depth--;
        level = this.#depth > 0 ? this.#levels[this.#depth - 1] : undefined;
        keyNext = false;
      } else if (code === 0x2c && level) {
        if (level.isObject) keyNext = true;
        else {
          level.index++;
          this.#count(level);
        }
      } else if ((code >= 0x30 && code <= 0x39) || code === 0x2d) {
        const end = numberEnd(text, at);
        if (end - at > 3) this.bigNumber ??= checkNumber(text.slice(at, end));
        at = end - 1;
      }
    }
  }
  end(): void {
    for (let index = 0; index < this.#deepest; index++) this.#levels[index]!.forget();
    this.#depth = this.#deepest = this.#values = this.#owned = 0;
    this.duplicates = [];
    this.bigNumber = undefined;
  }

  #key(level: Level, text: string, start: number, end: number, onKey: OnKey | undefined): void {
    this.#count(level);
    const raw = text.slice(start + 1, end);
    level.key = raw.includes('\\') ? unescapeKey(text.slice(start, end + 1)) : raw;
    if (level.key === '__proto__') throw errors.badRequest('the key "__proto__" is not allowed in an object');
    const isNew = level.add(level.key);
    onKey?.(this.#path(), !isNew);
    if (!isNew && this.duplicates.length < duplicatesMax) noteOnce(this.duplicates, this.#path());
  }
  #open(level: Level | undefined, isObject: boolean): Level {
    if (this.#depth >= depthMax) throw errors.badRequest(`the body is nested deeper than ${depthMax} levels`);
    if (level && !level.isObject) this.#count(level);
    const next = this.#levels[this.#depth++]!;
    next.reset(isObject, level !== undefined && (level.isOwners || level.key === 'fieldsV1'));
    if (this.#depth > this.#deepest) this.#deepest = this.#depth;
    return next;
  }
  #count(level: Level): void {
    if (level.isOwners ? ++this.#owned > ownedMax : ++this.#values > valuesMax)
      throw errors.tooLarge(`Request entity too large: the body has more than ${valuesMax} values`);
  }
  #path(): string {
    let path = '';
    for (let depth = 0; depth < this.#depth; depth++) {
      const { isObject, key, index } = this.#levels[depth]!;
      path = isObject ? (path ? `${path}.${key}` : key) : `${path}[${index}]`;
    }
    return path;
  }
}

/**
 * One pass over JSON text before it is parsed: refuses nesting deeper than 100, more than 65,536 values, numbers beyond
 * 64 bits and `__proto__` keys; returns the paths of duplicate keys (`spec.containers[0].image`), which JSON.parse would drop silently.
 */
export function scanJson(text: string, onKey?: OnKey): { duplicates: string[]; bigNumber?: string } {
  const scan = idle.pop() ?? new Scan();
  try {
    scan.run(text, onKey);
    return { duplicates: scan.duplicates, bigNumber: scan.bigNumber };
  } finally {
    scan.end();
    idle.push(scan);
  }
}
/** One, but for a scan inside of `onKey`. */
const idle: Scan[] = [];

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
function stringEnd(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    if (text.charCodeAt(at - 1) !== 0x5c) return at;
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
