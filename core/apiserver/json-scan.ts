import { errors } from '#api';

const depthMax = 100;
/** Reported ones; what comes after them is dropped without a word. */
const duplicatesMax = 100;
interface Level {
  readonly keys: Set<string> | undefined;
  readonly path: string;
  key: string;
  index: number;
}

/**
 * One pass over JSON text before it is parsed: refuses nesting deeper than 100, integers that a double cannot hold and
 * `__proto__` keys; returns the paths of duplicate keys (`spec.containers[0].image`), which JSON.parse would drop silently.
 */
export function scanJson(text: string): { duplicates: string[] } {
  const duplicates: string[] = [];
  const levels: Level[] = [];
  let keyNext = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const level = levels[levels.length - 1];
    if (code === 0x22) {
      const end = stringEnd(text, at);
      if (keyNext && level?.keys) {
        const raw = text.slice(at + 1, end);
        level.key = raw.includes('\\') ? unescapeKey(text.slice(at, end + 1)) : raw;
        if (level.key === '__proto__') throw errors.badRequest('the key "__proto__" is not allowed in an object');
        if (!level.keys.has(level.key)) level.keys.add(level.key);
        else if (duplicates.length < duplicatesMax) noteOnce(duplicates, pathOf(level));
        keyNext = false;
      }
      at = end;
    } else if (code === 0x7b || code === 0x5b) {
      if (levels.length >= depthMax) throw errors.badRequest(`the body is nested deeper than ${depthMax} levels`);
      const isObject = code === 0x7b;
      levels.push({ keys: isObject ? new Set() : undefined, path: level ? pathOf(level) : '', key: '', index: 0 });
      keyNext = isObject;
    } else if (code === 0x7d || code === 0x5d) {
      levels.pop();
      keyNext = false;
    } else if (code === 0x2c && level) {
      if (level.keys) keyNext = true;
      else level.index++;
    } else if ((code >= 0x30 && code <= 0x39) || code === 0x2d) {
      at = checkNumber(text, at);
    }
  }
  return { duplicates };
}

const noteOnce = (list: string[], text: string): void => {
  if (!list.includes(text)) list.push(text);
};
const pathOf = (level: Level): string =>
  level.keys ? (level.path ? `${level.path}.${level.key}` : level.key) : `${level.path}[${level.index}]`;

function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) return at;
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

function checkNumber(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && /[0-9.eE+-]/.test(text[end]!)) end++;
  if (end - start > 15) {
    const number = text.slice(start, end);
    if (/^-?\d+$/.test(number) && !Number.isSafeInteger(Number(number))) {
      throw errors.badRequest(`the number ${number.slice(0, 40)} is too large to be kept exactly`);
    }
  }
  return end - 1;
}
