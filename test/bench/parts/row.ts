/** One figure. `judge` says whether the ratio or the value is held against `target`; a row without a goal has neither. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  readonly ratio?: number;
  readonly judge?: 'ratio' | 'value';
  readonly target?: string;
  readonly ok?: boolean;
}
/** `smoke`: few rounds and small numbers, to see that a benchmark works at all; its figures mean nothing. */
export interface BenchOptions {
  readonly smoke?: boolean;
}
/** A goal such as `<= 1.25`. */
export type Target = `${'<=' | '>='} ${number}`;

const rounded = (number: number): number =>
  Number(number.toPrecision(Math.abs(number) >= 1000 ? Math.ceil(Math.log10(Math.abs(number))) : 4));

export function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))]!;
}
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function meets(figure: number, target: Target): boolean {
  const [sign, limit] = target.split(' ');
  return sign === '<=' ? figure <= Number(limit) : figure >= Number(limit);
}

export function valueRow(name: string, value: number, unit: string, target?: Target): Row {
  const row = { name, value: rounded(value), unit };
  return target ? { ...row, judge: 'value', target, ok: meets(value, target) } : row;
}

/** From pairs of [ours, baseline]: the ratio is the median of the pairs' ratios, value and baseline are the medians of each. */
export function ratioRow(
  name: string,
  unit: string,
  pairs: readonly (readonly [number, number])[],
  target?: Target,
): Row {
  const ratio = Math.round(median(pairs.map(([ours, theirs]) => ours / theirs)) * 1000) / 1000;
  const row = {
    name,
    value: rounded(median(pairs.map(([ours]) => ours))),
    unit,
    baseline: rounded(median(pairs.map(([, theirs]) => theirs))),
    ratio,
  };
  return target ? { ...row, judge: 'ratio', target, ok: meets(ratio, target) } : row;
}

/** Pairs in turn, now one and now the other in front, after one pair that is not counted. Two at least; no more once the limit is over. */
export async function interleave(
  count: number,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
  limitMs = Number.POSITIVE_INFINITY,
): Promise<[number, number][]> {
  const endMs = performance.now() + limitMs;
  const found: [number, number][] = [];
  for (let pair = -1; pair < count; pair++) {
    if (found.length >= 2 && performance.now() > endMs) break;
    const swap = pair % 2 === 0;
    const first = await (swap ? theirs() : ours());
    const second = await (swap ? ours() : theirs());
    if (pair >= 0) found.push(swap ? [second, first] : [first, second]);
  }
  return found;
}

export async function millisOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Polls until it holds; throws `what` after the limit. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs = 60_000,
  everyMs = 5,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
    await Bun.sleep(everyMs);
  }
}

/** Why a benchmark, or a part of it, is left out on this machine. */
export class Skip extends Error {}
