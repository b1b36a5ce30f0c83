import type { Node } from '../ast.ts';
import type { Overload } from '../overload.ts';
import { plain, type Type, typeText } from '../types.ts';
import { exactly, plus, type Range, scaled, times, unknownSize } from './range.ts';

/** What is known of the parts of a call when its cost is estimated. */
export interface Sizes {
  size(node: Node): Range;
  type(node: Node): Exclude<Type, { k: 'sized' }>;
  /** The size of a list's elements, and whether they are text; undefined: not a list. */
  element(node: Node): { readonly size: Range; readonly isText: boolean } | undefined;
}
/** Without what the arguments cost. `size` is that of the result, where the call says something of it. */
export interface CallCost {
  readonly cost: Range;
  readonly size?: Range;
}
interface Call {
  readonly overload: Overload;
  /** The receiver first, where there is one. */
  readonly operands: readonly Node[];
  readonly sizes: Sizes;
}
type Estimate = (call: Call) => CallCost | undefined;

const traversal = 0.1;
const perPatternCharacter = 0.25;
const formatPatternCharactersMax = 128;
const one: CallCost = { cost: exactly(1) };
const constant: Estimate = () => one;
const isText = (type: Type): boolean => /^(string|bytes)$/.test(plain(type).k);

const scan =
  (operand: number, factor = traversal): Estimate =>
  ({ operands, sizes }) =>
    operands[operand] && { cost: scaled(sizes.size(operands[operand]), factor) };
const copy: Estimate = ({ operands, sizes }) => {
  const size = sizes.size(operands[0]!);
  return { cost: scaled(size, traversal), size };
};
const matching: Estimate = ({ operands: [text, pattern], sizes }) => ({
  cost: times(
    scaled(plus(sizes.size(text!), exactly(1)), traversal),
    scaled(sizes.size(pattern!), perPatternCharacter),
  ),
});
const finding: Estimate = (call) => ({
  ...matching(call)!,
  size: { min: 0, max: call.sizes.size(call.operands[0]!).max },
});

/** One comparison for each element, and a look at all of its text. */
const elements: Estimate = ({ overload, operands: [list], sizes }) => {
  const size = sizes.size(list!);
  const element = sizes.element(list!);
  if (!element) return { cost: overload.name === 'includes' ? size : scaled(size, traversal) };
  return { cost: times(size, element.isText ? plus(exactly(1), scaled(element.size, traversal)) : exactly(1)) };
};

const replace: Estimate = ({ operands: [text, from, to], sizes }) => {
  const size = sizes.size(text!);
  const [old, fresh] = [sizes.size(from!), sizes.size(to!)];
  const ends = (length: number, longestOld: number, isEnough: boolean): { count: number; kept: number } => {
    if (longestOld === 0) return { count: length < unknownSize.max ? length + 1 : length, kept: length };
    return isEnough ? { count: 0, kept: length } : { count: Math.ceil(length / longestOld), kept: 0 };
  };
  const most = ends(size.max, old.min, fresh.max <= old.min);
  const least = ends(size.min, old.max, old.max <= fresh.min);
  const made = times({ min: least.count, max: most.count }, fresh);
  return { cost: scaled(size, 2 * traversal), size: plus(made, { min: least.kept, max: most.kept }) };
};
const literalInt = (node: Node | undefined): number | undefined =>
  node?.type === 'literal' && node.value.type === 'int' ? Number(node.value.value) : undefined;
const unsigned = (value: number): number => (value < 0 ? value + 2 ** 64 : value);
const split: Estimate = ({ operands: [text, _by, limit], sizes }) => {
  const size = sizes.size(text!);
  const most = literalInt(limit);
  return { cost: scaled(size, 2 * traversal), size: { min: 0, max: most === undefined ? size.max : unsigned(most) } };
};
const join: Estimate = ({ operands: [list, by], sizes }) => {
  const count = sizes.size(list!);
  const element = sizes.element(list!);
  const texts = element ? times(count, element.size) : exactly(0);
  const between = { min: Math.max(0, count.min - 1), max: Math.max(0, count.max - 1) };
  const size = by ? plus(texts, times(sizes.size(by), between)) : texts;
  return { cost: scaled(size, traversal), size };
};

/** A list is made: 1 for the call, 10 for the list. */
const listOf = (factor: number, size: Range): CallCost => ({ cost: plus(scaled(size, factor), exactly(11)), size });
const squared: Estimate = ({ overload, operands, sizes }) => {
  const list = operands[operands.length - 1]!;
  const size = sizes.size(list);
  const [type] = overload.args.slice(-1);
  const held = plain(type!);
  const ofText = overload.name !== 'distinct' && held.k === 'list' && isText(held.item);
  return listOf(ofText ? 2 + traversal : 2, times(size, size));
};
const slice: Estimate = ({ operands: [list, from, to], sizes }) => {
  const [start, end] = [literalInt(from) ?? 0, literalInt(to) ?? sizes.size(list!).max];
  return listOf(1, exactly(unsigned(Math.max(0, end) - Math.max(0, start))));
};
const flatten: Estimate = ({ operands: [list, depth], sizes }) =>
  listOf(depth ? Math.max(0, literalInt(depth) ?? 2 ** 64) : 1, sizes.size(list!));
const range: Estimate = ({ operands: [count] }) => listOf(1, exactly(Math.max(0, literalInt(count) ?? 2 ** 64)));
const setsOf =
  (factor: number): Estimate =>
  ({ operands: [a, b], sizes }) => ({
    cost: plus(scaled(times(sizes.size(a!), sizes.size(b!)), factor), exactly(1)),
  });

const addressBytes: Range = { min: 4, max: 16 };
const containing =
  (isBlock: boolean): Estimate =>
  ({ overload, operands, sizes }) => {
    const parsing = plain(overload.args[1]!).k === 'string' ? scaled(sizes.size(operands[1]!), traversal) : exactly(0);
    const masking = isBlock ? plus(scaled(addressBytes, traversal), exactly(1)) : exactly(0);
    return { cost: plus(scaled(plus(addressBytes, addressBytes), traversal), masking, parsing) };
  };
const validate: Estimate = ({ operands: [, text], sizes }) => ({
  cost: scaled(scaled(sizes.size(text!), traversal), formatPatternCharactersMax * perPatternCharacter),
});

const compared: Estimate = ({ operands: [a, b], sizes }) => {
  const max = Math.min(sizes.size(a!).max, sizes.size(b!).max);
  return { cost: scaled({ min: max > 0 ? 1 : 0, max }, traversal) };
};
const equal: Estimate = (call) => {
  const { operands, sizes } = call;
  const [a, b] = operands.map((node) => sizes.type(node)) as [Type, Type];
  if (a.k !== 'opaque' || b.k !== 'opaque' || a.name !== b.name) return compared(call);
  switch (a.name) {
    case 'kubernetes.NamedFormat':
      return { cost: scaled({ min: 1, max: 64 }, traversal) };
    case 'kubernetes.URL':
      return { cost: scaled({ min: 1, max: sizes.size(operands[1]!).max }, traversal) };
    default:
      return one;
  }
};
const ordered: Estimate = (call) => (isText(call.overload.args[0]!) ? compared(call) : one);
const sum: Estimate = ({ overload, operands: [a, b], sizes }) => {
  const type = plain(overload.args[0]!);
  if (type.k !== 'list' && !isText(type)) return one;
  const size = plus(sizes.size(a!), sizes.size(b!));
  return { cost: type.k === 'list' ? exactly(1) : scaled(size, traversal), size };
};
const toBytes: Estimate = ({ overload, operands: [text], sizes }) => {
  if (plain(overload.args[0]!).k !== 'string') return one;
  const size = sizes.size(text!);
  return { cost: scaled(size, traversal), size: { min: size.min, max: size.max * 4 } };
};
const toText: Estimate = ({ overload, operands: [bytes], sizes }) => {
  if (plain(overload.args[0]!).k !== 'bytes') return one;
  const size = sizes.size(bytes!);
  return { cost: scaled(size, traversal), size: { min: Math.floor(size.min / 4), max: size.max } };
};
const quoted: Estimate = ({ operands: [text], sizes }) => {
  const size = sizes.size(text!);
  return { cost: scaled(size, traversal), size: { min: size.min + 2, max: size.max * 2 + 2 } };
};
const contained: Estimate = ({ operands: [text, part], sizes }) => ({
  cost: times(scaled(sizes.size(text!), traversal), scaled(sizes.size(part!), traversal)),
});

const estimates: ReadonlyMap<string, Estimate> = new Map(
  (
    [
      ['isSorted sum max min indexOf lastIndexOf includes', elements],
      ['url jsonpatch.escapeKey lowerAscii upperAscii substring trim', copy],
      ['replace', replace],
      ['split', split],
      ['join', join],
      ['find findAll', finding],
      ['matches', matching],
      ['contains', contained],
      ['cidr isIP isCIDR quantity isQuantity semver isSemver', scan(0)],
      ['ip', (call) => (typeText(call.overload.args[0]!) === 'net.CIDR' ? one : scan(0)(call))],
      ['ip.isCanonical', scan(0, 2 * traversal)],
      ['containsIP', containing(false)],
      ['containsCIDR', containing(true)],
      ['validate', validate],
      ['startsWith endsWith', scan(1)],
      ['@in', (call) => (plain(call.overload.args[1]!).k === 'list' ? scan(1, 1)(call) : one)],
      ['bytes', toBytes],
      ['string', toText],
      ['strings.quote', quoted],
      ['format', scan(0)],
      ['_+_', sum],
      ['_==_', equal],
      ['_!=_', compared],
      ['_<_ _<=_ _>_ _>=_', ordered],
      ['slice', slice],
      ['flatten', flatten],
      ['lists.range', range],
      ['reverse', ({ operands: [list], sizes }) => listOf(1, sizes.size(list!))],
      ['distinct sort @sortByAssociatedKeys', squared],
      ['sets.contains sets.intersects', setsOf(1)],
      ['sets.equivalent', setsOf(2)],
    ] as readonly [string, Estimate][]
  ).flatMap(([names, estimate]) => names.split(' ').map((name) => [name, estimate] as const)),
);

/** Of one overload; what is not listed costs 1. */
export function estimateCall(overload: Overload, operands: readonly Node[], sizes: Sizes): CallCost {
  return (estimates.get(overload.name) ?? constant)({ overload, operands, sizes }) ?? one;
}
