/** Least and most: of elements, characters, or units of cost. Counts end at 2^64, which stands for "no limit is known". */
export interface Range {
  readonly min: number;
  readonly max: number;
}

const most = 2 ** 64;
export const unknownSize: Range = { min: 0, max: most };
export const exactly = (count: number): Range => ({ min: count, max: count });
const capped = (count: number): number => Math.min(count, most);

export const plus = (...ranges: readonly Range[]): Range => ({
  min: capped(ranges.reduce((sum, { min }) => sum + min, 0)),
  max: capped(ranges.reduce((sum, { max }) => sum + max, 0)),
});
export const times = (a: Range, b: Range): Range => ({ min: capped(a.min * b.min), max: capped(a.max * b.max) });
/** Rounded up. */
export const scaled = ({ min, max }: Range, factor: number): Range => ({
  min: capped(Math.ceil(min * factor)),
  max: capped(Math.ceil(max * factor)),
});
/** What holds both. */
export const around = (a: Range, b: Range): Range => ({ min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) });

/** Sizes of what a list or map holds. */
export interface EntrySize {
  readonly isMap: boolean;
  readonly key: Range;
  readonly value: Range;
}
export const aroundEntries = (a: EntrySize | undefined, b: EntrySize | undefined): EntrySize | undefined =>
  a && b && { isMap: a.isMap, key: around(a.key, b.key), value: around(a.value, b.value) };
