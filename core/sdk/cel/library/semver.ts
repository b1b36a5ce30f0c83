import { global, method, type Overload } from '../overload.ts';
import * as t from '../types.ts';
import { CelOpaque, failure, intOf } from '../values.ts';

const name = 'kubernetes.Semver';
const semver = t.opaque(name);
const parsing = { cost: (size = 0) => Math.ceil(size * 0.1) };
interface Version {
  readonly numbers: readonly [bigint, bigint, bigint];
  readonly pre: readonly string[];
}
const strict =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$/;

/** `v1.2`, `1`, `01.2.3` become full versions. */
function normalized(text: string): string {
  const [, body = '', rest = ''] = /^v?([0-9.]*)(.*)$/.exec(text)!;
  const parts = body.split('.').map((part) => part.replace(/^0+(?=\d)/, ''));
  while (parts.length < 3) parts.push('0');
  return parts.join('.') + rest;
}
function read(text: string): CelOpaque | undefined {
  const match = strict.exec(text);
  if (!match) return undefined;
  const pre = match[4]?.split('.') ?? [];
  if (pre.some((part) => /^0\d+$/.test(part))) return undefined;
  const version: Version = { numbers: [BigInt(match[1]!), BigInt(match[2]!), BigInt(match[3]!)], pre };
  return new CelOpaque(name, version, `${version.numbers.join('.')}-${pre.join('.')}`);
}
function parse(text: string): CelOpaque {
  const version = read(text);
  if (!version) throw failure(`semver parse error: ${text} is not a semantic version`);
  return version;
}
const versionOf = (value: CelOpaque): Version => value.data as Version;

/** By semver.org, section 11: a pre-release comes before its release, numbers before text. */
function compare(left: CelOpaque, right: CelOpaque): number {
  const [a, b] = [versionOf(left), versionOf(right)];
  for (const i of [0, 1, 2] as const) if (a.numbers[i] !== b.numbers[i]) return a.numbers[i] < b.numbers[i] ? -1 : 1;
  if (a.pre.length === 0 || b.pre.length === 0) return Math.sign(b.pre.length - a.pre.length);
  for (let i = 0; i < Math.min(a.pre.length, b.pre.length); i++) {
    const [x, y] = [a.pre[i]!, b.pre[i]!];
    if (x === y) continue;
    const [xn, yn] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (xn && yn) return BigInt(x) < BigInt(y) ? -1 : 1;
    return xn !== yn ? (xn ? -1 : 1) : x < y ? -1 : 1;
  }
  return Math.sign(a.pre.length - b.pre.length);
}
const part = (i: 0 | 1 | 2) => (value: CelOpaque) => intOf(versionOf(value).numbers[i]);

export const semvers: readonly Overload[] = [
  global('semver', [t.string], semver, parse, parsing),
  global(
    'semver',
    [t.string, t.bool],
    semver,
    (text: string, loose: boolean) => parse(loose ? normalized(text) : text),
    parsing,
  ),
  global('isSemver', [t.string], t.bool, (text: string) => read(text) !== undefined, parsing),
  global(
    'isSemver',
    [t.string, t.bool],
    t.bool,
    (text: string, loose: boolean) => read(loose ? normalized(text) : text) !== undefined,
    parsing,
  ),
  method('isGreaterThan', [semver, semver], t.bool, (a: CelOpaque, b: CelOpaque) => compare(a, b) > 0),
  method('isLessThan', [semver, semver], t.bool, (a: CelOpaque, b: CelOpaque) => compare(a, b) < 0),
  method('compareTo', [semver, semver], t.int, compare),
  method('major', [semver], t.int, part(0)),
  method('minor', [semver], t.int, part(1)),
  method('patch', [semver], t.int, part(2)),
];
