import { method, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import {
  CelDouble,
  CelDuration,
  CelTimestamp,
  CelType,
  CelUint,
  entriesOf,
  failure,
  isInt,
  isMap,
  typeNameOf,
  type Value,
} from '../values.ts';
import { doubleText, durationText, timestampText } from './conversions.ts';

const digitsMax = 100;
type Integer = number | bigint | CelUint;
const isInteger = (value: Value): value is Integer => isInt(value) || value instanceof CelUint;
const bigOf = (value: Integer): bigint => (value instanceof CelUint ? value.value : BigInt(value));
const unfit = (clause: string, type: string): string =>
  `error during formatting: ${clause} clause can only be used on ${allowed[clause]}, was given ${type}`;
const wrong = (clause: string, value: Value): Error => failure(unfit(clause, typeNameOf(value)));
const unknown = (letter: string): string =>
  `could not parse formatting clause: unrecognized formatting clause ${JSON.stringify(letter)}`;
const allowed: Readonly<Record<string, string>> = {
  string: 'strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps',
  decimal: 'integers',
  'fixed-point': 'doubles',
  scientific: 'doubles',
  binary: 'integers and bools',
  hex: 'integers, byte buffers, and strings',
  octal: 'integers',
};
const utf8 = new TextDecoder();

function plainText(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (isInteger(value)) return String(bigOf(value));
  if (value instanceof CelDouble) return doubleText(value.value);
  if (value instanceof CelDuration) return durationText(value);
  if (value instanceof CelTimestamp) return timestampText(value);
  if (value instanceof CelType) return value.name;
  if (value instanceof Uint8Array) return utf8.decode(value);
  if (Array.isArray(value)) return `[${(value as readonly Value[]).map(literal).join(', ')}]`;
  if (isMap(value)) {
    const entries = [...entriesOf(value)].map(([key, one]) => [literal(key), literal(one)] as const);
    return `{${entries
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => `${key}:${one}`)
      .join(', ')}}`;
  }
  throw wrong('string', value);
}
/** As it would be written in an expression. */
function literal(value: Value): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value instanceof Uint8Array) return `b${JSON.stringify(plainText(value))}`;
  if (value instanceof CelDuration) return `duration(${JSON.stringify(plainText(value))})`;
  if (value instanceof CelTimestamp) return `timestamp(${JSON.stringify(plainText(value))})`;
  if (value instanceof CelDouble)
    return Number.isFinite(value.value) ? value.value.toFixed(6) : JSON.stringify(doubleText(value.value));
  return plainText(value);
}

function realOf(clause: string, value: Value): number {
  if (value instanceof CelDouble) return value.value;
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return Number(value);
  throw wrong(clause, value);
}
const special = (value: number): string => (Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '-∞');
function fixed(value: Value, digits: number): string {
  const real = realOf('fixed-point', value);
  if (!Number.isFinite(real)) return special(real);
  return real.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
const superscripts = '⁰¹²³⁴⁵⁶⁷⁸⁹';
/** As upstream prints it for people: `2.718280 × 10⁰⁰`, with narrow spaces that do not break. */
function scientific(value: Value, digits: number): string {
  const real = realOf('scientific', value);
  if (!Number.isFinite(real)) return special(real);
  const [mantissa, exponent] = real.toExponential(digits).split('e') as [string, string];
  const power = exponent.replace(/^[-+]/, '').padStart(2, '0');
  const raised = [...power].map((digit) => superscripts[Number(digit)]).join('');
  return `${mantissa}\u202f×\u202f10${exponent.startsWith('-') ? '⁻' : ''}${raised}`;
}
function radix(clause: string, value: Value, base: number): string {
  if (isInteger(value)) return bigOf(value).toString(base);
  if (clause === 'binary' && typeof value === 'boolean') return value ? '1' : '0';
  if (clause === 'hex' && typeof value === 'string') return Buffer.from(value).toString('hex');
  if (clause === 'hex' && value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  throw wrong(clause, value);
}

function clauseText(letter: string, value: Value, digits: number): string {
  switch (letter) {
    case 's':
      return plainText(value);
    case 'd':
      if (!isInteger(value)) throw wrong('decimal', value);
      return String(bigOf(value));
    case 'f':
      return fixed(value, digits);
    case 'e':
      return scientific(value, digits);
    case 'b':
      return radix('binary', value, 2);
    case 'x':
      return radix('hex', value, 16);
    case 'X':
      return radix('hex', value, 16).toUpperCase();
    case 'o':
      return radix('octal', value, 8);
    default:
      throw failure(unknown(letter));
  }
}

function formatted(pattern: string, args: readonly Value[]): string {
  let next = 0;
  return pattern.replace(clausePattern, (_whole, clause: string, precision: string | undefined, letter: string) => {
    if (clause === '%') return '%';
    if (next >= args.length) throw failure(`index ${next} out of range`);
    if (!letter) throw failure('unexpected end of string');
    const digits = precision === undefined ? 6 : Number(precision);
    if (digits > digitsMax) throw failure(`precision ${digits} exceeds maximum allowed precision ${digitsMax}`);
    return clauseText(letter, args[next++] as Value, digits);
  });
}

const clausePattern = /%(%|(?:\.(\d*))?([\s\S]?))/gu;
const clauses: Readonly<Record<string, readonly [name: string, types: RegExp]>> = {
  s: ['string', /./],
  d: ['decimal', /^u?int$/],
  f: ['fixed-point', /^double$/],
  e: ['scientific', /^double$/],
  b: ['binary', /^(u?int|bool)$/],
  x: ['hex', /^(u?int|bytes|string)$/],
  X: ['hex', /^(u?int|bytes|string)$/],
  o: ['octal', /^u?int$/],
};
/** What is wrong with a pattern for arguments of these types (`int`, `dyn`), before it is used. */
export function clauseMistake(
  pattern: string,
  types: readonly string[],
): { readonly argument?: number; readonly message: string } | undefined {
  let next = 0;
  for (const [, whole, , letter] of pattern.matchAll(clausePattern)) {
    if (whole === '%') continue;
    const type = types[next];
    if (type === undefined) return { message: `index ${next} out of range` };
    if (!letter) return { message: 'unexpected end of string' };
    const clause = clauses[letter];
    if (!clause) return { message: unknown(letter) };
    if (type !== 'dyn' && !clause[1].test(type)) return { argument: next, message: unfit(clause[0], type) };
    next++;
  }
  if (types.length <= next) return undefined;
  return { message: `too many arguments supplied to string.format (expected ${next}, got ${types.length})` };
}

export const textFormats: readonly Overload[] = [
  method('format', [t.string, t.list(t.dyn)], t.string, formatted, { cost: (size = 0) => Math.ceil(size * 0.1) }),
];
