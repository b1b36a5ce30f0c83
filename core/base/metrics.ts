/** Metrics in the text format of Prometheus. Values live in plain maps; a scrape costs what there is to print. */
type Labels = readonly string[];

/** Label sets of one metric; beyond them a new set is counted under `other`, so that no client can fill memory. */
export const labelSetsMax = 5_000;
const separator = '\u0000';
const escaped = (text: string): string => text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
const numberText = (value: number): string =>
  value === Number.POSITIVE_INFINITY ? '+Inf' : Number.isNaN(value) ? 'NaN' : String(value);

abstract class Metric<T> {
  protected readonly values = new Map<string, T>();
  constructor(
    readonly name: string,
    readonly help: string,
    readonly labels: Labels,
  ) {}
  abstract readonly type: 'counter' | 'gauge' | 'histogram';
  protected abstract sample(labels: string, value: T): string[];

  protected key(labels: Labels): string {
    const key = labels.join(separator);
    return this.values.has(key) || this.values.size < labelSetsMax
      ? key
      : this.labels.map(() => 'other').join(separator);
  }
  lines(): string[] {
    const lines = [`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} ${this.type}`];
    for (const [key, value] of this.values) {
      const names = this.labels.length === 0 ? [] : key.split(separator);
      const text = names.map((label, index) => `${this.labels[index]}="${escaped(label)}"`).join(',');
      lines.push(...this.sample(text, value));
    }
    return lines;
  }
}
const braced = (labels: string): string => (labels ? `{${labels}}` : '');

export class Counter extends Metric<number> {
  readonly type = 'counter';
  add(labels: Labels = [], by = 1): void {
    this.at(labels)(by);
  }
  /** To count one label set again and again without making its key each time. */
  at(labels: Labels): (by: number) => void {
    const key = this.key(labels);
    return (by) => void this.values.set(key, (this.values.get(key) ?? 0) + by);
  }
  protected sample(labels: string, value: number): string[] {
    return [`${this.name}${braced(labels)} ${numberText(value)}`];
  }
}

export class Gauge extends Metric<number> {
  readonly type = 'gauge';
  set(labels: Labels, value: number): void {
    this.values.set(this.key(labels), value);
  }
  add(labels: Labels, by: number): void {
    this.at(labels)(by);
  }
  /** To move one label set again and again without making its key each time. */
  at(labels: Labels): (by: number) => void {
    const key = this.key(labels);
    return (by) => void this.values.set(key, (this.values.get(key) ?? 0) + by);
  }
  clear(): void {
    this.values.clear();
  }
  protected sample(labels: string, value: number): string[] {
    return [`${this.name}${braced(labels)} ${numberText(value)}`];
  }
}

interface Distribution {
  readonly counts: Float64Array;
  sum: number;
}
export class Histogram extends Metric<Distribution> {
  readonly type = 'histogram';
  constructor(
    name: string,
    help: string,
    labels: Labels,
    /** Upper ends, ascending, without infinity. */
    private readonly bounds: readonly number[],
  ) {
    super(name, help, labels);
  }
  observe(labels: Labels, value: number): void {
    this.at(labels)(value);
  }
  /** To observe one label set again and again without making its key each time. */
  at(labels: Labels): (value: number) => void {
    const key = this.key(labels);
    return (value) => {
      let distribution = this.values.get(key);
      if (!distribution) {
        distribution = { counts: new Float64Array(this.bounds.length + 1), sum: 0 };
        this.values.set(key, distribution);
      }
      let bucket = 0;
      while (bucket < this.bounds.length && value > this.bounds[bucket]!) bucket++;
      distribution.counts[bucket]!++;
      distribution.sum += value;
    };
  }
  protected sample(labels: string, { counts, sum }: Distribution): string[] {
    const before = labels ? `${labels},` : '';
    let total = 0;
    const lines = [...counts].map((count, index) => {
      total += count;
      const bound = numberText(this.bounds[index] ?? Number.POSITIVE_INFINITY);
      return `${this.name}_bucket{${before}le="${bound}"} ${total}`;
    });
    return [
      ...lines,
      `${this.name}_sum${braced(labels)} ${numberText(sum)}`,
      `${this.name}_count${braced(labels)} ${total}`,
    ];
  }
}

/** One page of metrics. `refresh` runs before each print and sets gauges that are read rather than counted. */
export function metricsText(metrics: readonly Metric<unknown>[], refresh: () => void = () => {}): string {
  refresh();
  return `${metrics.flatMap((metric) => metric.lines()).join('\n')}\n`;
}
export const metricsType = 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores';
