import { RE2JS } from 're2js';
import { global, method, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import { failure, isInt, type Value } from '../values.ts';

type Int = number | bigint;
const once = { cost: (size = 0) => Math.ceil(size * 0.1) };
const twice = { cost: (size = 0) => Math.ceil(size * 0.2) };
const same = { ...once };
/** Linear in the text, times a guess of what the pattern holds: one expression in four characters. */
const matching = { cost: (text = 0, pattern = 0) => Math.ceil((text + 1) * 0.1) * Math.ceil(pattern * 0.25) };
/** By what it makes. */
const joining = {
  weigh(list: Value, by: Value = ''): number {
    const parts = list as readonly string[];
    const between = Math.max(0, parts.length - 1) * String(by).length;
    return Math.ceil((parts.reduce((sum, { length }) => sum + length, 0) + between) * 0.2);
  },
};
/** Upstream weighs a search in text as a look at its tenths, rounded down. */
const searching = { cost: (size = 0) => Math.floor(size * 0.1) };
const within = { cost: (text = 0, part = 0) => Math.ceil(text * 0.1) * Math.ceil(part * 0.1) };

const patternsMax = 1000;
const compiled = new Map<string, RE2JS>();
/** Compiled once; the oldest are forgotten. Throws what is wrong with the pattern. */
export function regex(pattern: string): RE2JS {
  let known = compiled.get(pattern);
  if (!known) {
    try {
      known = RE2JS.compile(pattern);
    } catch (error) {
      throw failure(`error parsing regexp: ${(error as Error).message.replace(/^error parsing regexp: /, '')}`);
    }
    if (compiled.size >= patternsMax) compiled.delete(compiled.keys().next().value!);
    compiled.set(pattern, known);
  }
  return known;
}
const matches = (text: string, pattern: string): boolean => regex(pattern).matcher(text).find();

const chars = (text: string): string[] => (/[\ud800-\udfff]/.test(text) ? [...text] : text.split(''));
const upTo = (at: Int, length: number): number => {
  const index = Number(at);
  if (index < 0 || index > length) throw failure(`index out of range: ${index}`);
  return index;
};
function indexOf(text: string, part: string, from: Int = 0): number {
  const [all, wanted] = [chars(text), chars(part)];
  for (let at = upTo(from, all.length); at + wanted.length <= all.length; at++)
    if (wanted.every((char, i) => all[at + i] === char)) return at;
  return -1;
}
function lastIndexOf(text: string, part: string, from?: Int): number {
  const [all, wanted] = [chars(text), chars(part)];
  const start = from === undefined ? all.length : upTo(from, all.length);
  for (let at = Math.min(start, all.length - wanted.length); at >= 0; at--)
    if (wanted.every((char, i) => all[at + i] === char)) return at;
  return -1;
}
function substring(text: string, from: Int, to?: Int): string {
  const all = chars(text);
  const start = upTo(from, all.length);
  const end = to === undefined ? all.length : upTo(to, all.length);
  if (start > end) throw failure(`invalid substring range. start: ${start}, end: ${end}`);
  return all.slice(start, end).join('');
}
function replace(text: string, from: string, to: string, limit: Int = -1): string {
  const most = Number(limit);
  if (most === 0) return text;
  if (from === '') {
    const all = ['', ...chars(text)];
    return all.map((char, i) => char + (most < 0 || i < most ? to : '')).join('');
  }
  const parts = text.split(from);
  return most < 0 || parts.length - 1 <= most
    ? parts.join(to)
    : parts.slice(0, most + 1).join(to) + from + parts.slice(most + 1).join(from);
}
function split(text: string, by: string, limit: Int = -1): string[] {
  const most = Number(limit);
  if (most === 0) return [];
  if (most === 1) return [text];
  const parts = by === '' ? chars(text) : text.split(by);
  return most < 0 || parts.length <= most ? parts : [...parts.slice(0, most - 1), parts.slice(most - 1).join(by)];
}
const ascii = (pattern: RegExp, turn: (char: string) => string) => (text: string) => text.replace(pattern, turn);
/** What Unicode calls white space, as Go trims it. */
const trim = (text: string): string => text.replace(/^[\s\u0085]+|[\s\u0085]+$/gu, '');
function charAt(text: string, at: Int): string {
  const all = chars(text);
  return all[upTo(at, all.length)] ?? '';
}
const quote = (text: string): string =>
  `"${text.replace(/["\\\u0007\b\f\n\r\t\v]/g, (char) => escapes[char] ?? char)}"`;
const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

export const strings: readonly Overload[] = [
  global('matches', [t.string, t.string], t.bool, matches, matching),
  method('matches', [t.string, t.string], t.bool, matches, matching),
  method('contains', [t.string, t.string], t.bool, (a: string, b: string) => a.includes(b), within),
  method('startsWith', [t.string, t.string], t.bool, (a: string, b: string) => a.startsWith(b), {
    cost: (_a, b = 0) => Math.ceil(b * 0.1),
  }),
  method('endsWith', [t.string, t.string], t.bool, (a: string, b: string) => a.endsWith(b), {
    cost: (_a, b = 0) => Math.ceil(b * 0.1),
  }),
  method('charAt', [t.string, t.int], t.string, charAt),
  method('indexOf', [t.string, t.string], t.int, (a: string, b: string) => indexOf(a, b), searching),
  method('indexOf', [t.string, t.string, t.int], t.int, indexOf, searching),
  method('lastIndexOf', [t.string, t.string], t.int, (a: string, b: string) => lastIndexOf(a, b), searching),
  method('lastIndexOf', [t.string, t.string, t.int], t.int, lastIndexOf, searching),
  method(
    'lowerAscii',
    [t.string],
    t.string,
    ascii(/[A-Z]+/g, (char) => char.toLowerCase()),
    same,
  ),
  method(
    'upperAscii',
    [t.string],
    t.string,
    ascii(/[a-z]+/g, (char) => char.toUpperCase()),
    same,
  ),
  method('trim', [t.string], t.string, trim, same),
  method('substring', [t.string, t.int], t.string, (a: string, b: Int) => substring(a, b), same),
  method('substring', [t.string, t.int, t.int], t.string, substring, same),
  method(
    'replace',
    [t.string, t.string, t.string],
    t.string,
    (a: string, b: string, c: string) => replace(a, b, c),
    twice,
  ),
  method('replace', [t.string, t.string, t.string, t.int], t.string, replace, twice),
  method('split', [t.string, t.string], t.list(t.string), (a: string, b: string) => split(a, b), twice),
  method('split', [t.string, t.string, t.int], t.list(t.string), split, twice),
  method('join', [t.list(t.string)], t.string, (a: string[]) => joined(a, ''), joining),
  method('join', [t.list(t.string), t.string], t.string, joined, joining),
  global('strings.quote', [t.string], t.string, quote, same),
  // Kubernetes: regular expressions
  method(
    'find',
    [t.string, t.string],
    t.string,
    (text: string, pattern: string) => {
      const found = regex(pattern).matcher(text);
      return found.find() ? (found.group() ?? '') : '';
    },
    matching,
  ),
  method(
    'findAll',
    [t.string, t.string],
    t.list(t.string),
    (text: string, pattern: string) => findAll(text, pattern),
    matching,
  ),
  method('findAll', [t.string, t.string, t.int], t.list(t.string), findAll, matching),
];

function joined(list: readonly Value[], by: string): string {
  if (list.some((one) => typeof one !== 'string')) throw failure('no such overload');
  return list.join(by);
}
function findAll(text: string, pattern: string, limit: Int = -1): string[] {
  const found: string[] = [];
  const matcher = regex(pattern).matcher(text);
  const most = isInt(limit) ? Number(limit) : -1;
  while ((most < 0 || found.length < most) && matcher.find()) found.push(matcher.group() ?? '');
  return found;
}
