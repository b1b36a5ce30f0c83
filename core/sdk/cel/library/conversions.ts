import { global, method, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import {
  CelDouble,
  type CelDuration,
  type CelTimestamp,
  CelType,
  type CelUint,
  failure,
  intOf,
  sizeOf,
  typeNameOf,
  uintOf,
  type Value,
} from '../values.ts';
import { durationOf, timestampOf } from './operators.ts';

type Int = number | bigint;
const traverse = { cost: (size = 0) => Math.ceil(size * 0.1) };
const A = t.param('A');
const B = t.param('B');

const truncated = (value: number): bigint => {
  if (!Number.isFinite(value) || Math.abs(value) >= 2 ** 63) throw failure('integer overflow');
  return BigInt(Math.trunc(value));
};
const utf8 = new TextDecoder('utf-8', { fatal: true });

function parseInt64(text: string, isUint: boolean): bigint {
  if (!(isUint ? /^\d+$/ : /^[-+]?\d+$/).test(text))
    throw failure(`type conversion error from 'string' to '${isUint ? 'uint' : 'int'}'`);
  return BigInt(text);
}
function parseDouble(text: string): number {
  if (!/^[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|inf(inity)?|nan)$/i.test(text))
    throw failure("type conversion error from 'string' to 'double'");
  if (/nan/i.test(text)) return Number.NaN;
  return /inf/i.test(text) ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text);
}
/** As Go prints a float64 with %g and the shortest digits. */
export function doubleText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const [digits, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power < -4 || power >= 21) return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  return Object.is(value, -0) ? '-0' : String(value);
}

const unitNanos: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
/** Go's duration syntax. Undefined for other text. */
export function parseGoDuration(text: string): bigint | undefined {
  const body = text.replace(/^[-+]/, '');
  if (body === '0') return 0n;
  if (!/^((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(body)) return undefined;
  let nanos = 0n;
  for (const [, amount, unit] of body.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    const [whole, fraction = ''] = amount!.split('.') as [string, string?];
    nanos += BigInt(whole || 0) * unitNanos[unit!]!;
    if (fraction) nanos += (BigInt(fraction) * unitNanos[unit!]!) / 10n ** BigInt(fraction.length);
  }
  return text.startsWith('-') ? -nanos : nanos;
}
const timePattern = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(Z|[-+]\d\d:\d\d)$/;
/** RFC 3339. Undefined for other text. */
export function parseTimestamp(text: string): bigint | undefined {
  const match = timePattern.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', zone] = match;
  const wallMs = Date.UTC(2000, Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const at = new Date(wallMs);
  at.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (
    at.getUTCMonth() !== Number(month) - 1 ||
    at.getUTCDate() !== Number(day) ||
    Number(hour) > 23 ||
    Number(minute) > 59 ||
    Number(second) > 59
  )
    return undefined;
  const sign = zone!.startsWith('-') ? -1 : 1;
  const offsetMs = zone === 'Z' ? 0 : sign * (Number(zone!.slice(1, 3)) * 60 + Number(zone!.slice(4, 6))) * 60_000;
  return BigInt(at.getTime() - offsetMs) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}
const fractionOf = (nanos: bigint): string => {
  const digits = String(nanos < 0n ? -nanos : nanos)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return digits ? `.${digits}` : '';
};
export const durationText = ({ nanos }: CelDuration): string => {
  const size = nanos < 0n ? -nanos : nanos;
  return `${nanos < 0n ? '-' : ''}${size / 1_000_000_000n}${fractionOf(size % 1_000_000_000n)}s`;
};
export function timestampText({ nanos }: CelTimestamp): string {
  const fraction = ((nanos % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (nanos - fraction) / 1_000_000_000n;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}${fractionOf(fraction)}Z`;
}

const ofText =
  <T>(parse: (text: string) => T | undefined, message: (text: string) => string) =>
  (text: string): T => {
    const value = parse(text);
    if (value === undefined) throw failure(message(text));
    return value;
  };
const timeFrom = ofText(parseTimestamp, (text) => `parsing time "${text}": cannot be read as RFC 3339`);
const durationFrom = ofText(parseGoDuration, (text) => `time: invalid duration "${text}"`);

const numbers: Overload[] = [
  global('int', [t.int], t.int, (a: Int) => a),
  global('int', [t.uint], t.int, (a: CelUint) => intOf(a.value)),
  global('int', [t.double], t.int, (a: CelDouble) => intOf(truncated(a.value))),
  global('int', [t.string], t.int, (a: string) => intOf(parseInt64(a, false)), traverse),
  global('int', [t.timestamp], t.int, (a: CelTimestamp) => intOf(a.nanos / 1_000_000_000n)),
  global('uint', [t.uint], t.uint, (a: CelUint) => a),
  global('uint', [t.int], t.uint, (a: Int) => uintOf(BigInt(a))),
  global('uint', [t.double], t.uint, (a: CelDouble) => {
    if (!(a.value >= 0 && a.value < 2 ** 64)) throw failure('unsigned integer overflow');
    return uintOf(BigInt(Math.trunc(a.value)));
  }),
  global('uint', [t.string], t.uint, (a: string) => uintOf(parseInt64(a, true)), traverse),
  global('double', [t.double], t.double, (a: CelDouble) => a),
  global('double', [t.int], t.double, (a: Int) => new CelDouble(Number(a))),
  global('double', [t.uint], t.double, (a: CelUint) => new CelDouble(Number(a.value))),
  global('double', [t.string], t.double, (a: string) => new CelDouble(parseDouble(a)), traverse),
];
const texts: Overload[] = [
  global('string', [t.string], t.string, (a: string) => a),
  global('string', [t.bool], t.string, (a: boolean) => String(a)),
  global('string', [t.int], t.string, (a: Int) => String(a)),
  global('string', [t.uint], t.string, (a: CelUint) => String(a.value)),
  global('string', [t.double], t.string, (a: CelDouble) => doubleText(a.value)),
  global('string', [t.timestamp], t.string, timestampText),
  global('string', [t.duration], t.string, durationText),
  global(
    'string',
    [t.bytes],
    t.string,
    (a: Uint8Array) => {
      try {
        return utf8.decode(a);
      } catch {
        throw failure('invalid UTF-8 in bytes, cannot convert to string');
      }
    },
    { ...traverse },
  ),
  global('bytes', [t.string], t.bytes, (a: string) => new TextEncoder().encode(a), {
    ...traverse,
  }),
  global('bytes', [t.bytes], t.bytes, (a: Uint8Array) => a),
  global('bool', [t.bool], t.bool, (a: boolean) => a),
  global('bool', [t.string], t.bool, (a: string) => {
    if (/^(1|t|T|true|TRUE|True)$/.test(a)) return true;
    if (/^(0|f|F|false|FALSE|False)$/.test(a)) return false;
    throw failure(`strconv.ParseBool: parsing "${a}": invalid syntax`);
  }),
];

export const conversions: readonly Overload[] = [
  ...numbers,
  ...texts,
  global('timestamp', [t.timestamp], t.timestamp, (a: CelTimestamp) => a),
  global('timestamp', [t.string], t.timestamp, (a: string) => timestampOf(timeFrom(a)), traverse),
  global('timestamp', [t.int], t.timestamp, (a: Int) => timestampOf(BigInt(a) * 1_000_000_000n)),
  global('duration', [t.duration], t.duration, (a: CelDuration) => a),
  global('duration', [t.string], t.duration, (a: string) => durationOf(durationFrom(a)), traverse),
  global('dyn', [A], t.dyn, (a: Value) => a),
  global('type', [A], t.typeOf(A), (a: Value) => new CelType(typeNameOf(a))),
  ...[t.string, t.bytes, t.list(A), t.map(A, B)].flatMap((type) => [
    global('size', [type], t.int, sizeOf),
    method('size', [type], t.int, sizeOf),
  ]),
];
