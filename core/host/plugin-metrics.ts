import type { Counter, Gauge, Metrics } from '#sdk';

const namesMax = 200;
export const seriesMax = 1_000;
const labelLengthMax = 128;
/** What a plugin's metrics are, without their values. */
export interface MetricFacts {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
}
interface Family extends MetricFacts {
  /** By label values, in the order of `labels`. */
  readonly values: Map<string, number>;
}
/** Label values (as JSON, in the order of the metric's labels) and a number, by name. */
export type MetricValues = Readonly<Record<string, readonly (readonly [labels: string, value: number])[]>>;
/** Counts what was dropped: a label that was not declared, or a series too many. */
export const droppedName = 'plugin_metrics_dropped_total';
const lateName = 'plugin_reconcile_deadlines_total';

/** Counters and gauges of one plugin, by their declared names. Asking for a name again gives the same one; more than 200 are refused. */
export class PluginMetrics implements Metrics {
  readonly #families = new Map<string, Family>();
  #series = 0;
  #dropped = 0;

  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    const family = this.#named({ name, type: 'counter', help, labels });
    return {
      inc: (by = 1, given) => this.#change(family, given, (value) => value + Math.max(0, Number.isFinite(by) ? by : 0)),
    };
  }
  gauge(name: string, help: string, labels: readonly string[] = []): Gauge {
    const family = this.#named({ name, type: 'gauge', help, labels });
    return { set: (value, given) => this.#change(family, given, () => value) };
  }
  facts(): MetricFacts[] {
    return [...this.#families.values()].map(({ name, type, help, labels }) => ({ name, type, help, labels }));
  }
  /** Of all label values together, by name. */
  totals(): Readonly<Record<string, number>> {
    const sum = (values: Iterable<number>): number => [...values].reduce((total, one) => total + one, 0);
    return Object.fromEntries([...this.#families].map(([name, { values }]) => [name, sum(values.values())]));
  }
  values(): MetricValues {
    const values = Object.fromEntries([...this.#families].map(([name, family]) => [name, [...family.values]]));
    return this.#dropped === 0 ? values : { ...values, [droppedName]: [['[]', this.#dropped]] };
  }

  #change(family: Family, given: Readonly<Record<string, string>> = {}, next: (value: number) => number): void {
    const isKnown = Object.keys(given).every((label) => family.labels.includes(label));
    const key = JSON.stringify(family.labels.map((label) => String(given[label] ?? '').slice(0, labelLengthMax)));
    const former = family.values.get(key);
    if (!isKnown || (former === undefined && this.#series >= seriesMax)) {
      this.#dropped++;
      return;
    }
    if (former === undefined) this.#series++;
    family.values.set(key, next(former ?? 0));
  }
  #named(facts: MetricFacts): Family {
    const { name, type, labels } = facts;
    const isName = (text: string): boolean => /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(text);
    if (!isName(name)) throw new Error(`metrics: "${name}" is no name of a metric`);
    const stray = labels.find((label) => !isName(label) || label === 'plugin');
    if (stray !== undefined) throw new Error(`metrics: ${name} cannot have a label "${stray}"`);
    const found = this.#families.get(name);
    if (found && found.type !== type) throw new Error(`metrics: ${name} is a ${found.type} already`);
    if (!found && this.#families.size >= namesMax) throw new Error(`metrics: more than ${namesMax} are not kept`);
    const family = found ?? { ...facts, values: new Map(labels.length === 0 ? [['[]', 0]] : []) };
    this.#families.set(name, family);
    return family;
  }
}

/**
 * The metrics of all plugins as Prometheus reads them, each with a label `plugin`. What a plugin sends is not believed:
 * only declared names, labels in their number, finite values, 1,000 series. Pure.
 */
export function exposition(
  plugins: readonly {
    readonly name: string;
    readonly facts: readonly MetricFacts[];
    readonly values: MetricValues;
    /** Reconciles that did not return in time: the host's own count. */
    readonly late?: number;
  }[],
): string {
  const families = new Map<string, { readonly facts: MetricFacts; readonly lines: string[] }>();
  const dropped: string[] = [];
  for (const { name: plugin, facts, values } of plugins) {
    let lost = 0;
    let series = 0;
    const known = new Map(facts.map((one) => [one.name, one]));
    for (const [name, list] of Object.entries(values)) {
      const fact = known.get(name);
      if (name === droppedName) lost += Number(list?.[0]?.[1] ?? 0) || 0;
      else if (!fact || !Array.isArray(list)) lost++;
      else
        for (const entry of list) {
          const labels = labelsOf(fact, entry?.[0]);
          if (!labels || !Number.isFinite(entry[1]) || ++series > seriesMax) lost++;
          else {
            const family = families.get(name) ?? { facts: fact, lines: [] };
            families.set(name, family);
            const text = [`plugin=${quoted(plugin)}`, ...labels].join(',');
            family.lines.push(`${name}{${text}} ${entry[1]}`);
          }
        }
    }
    if (lost > 0) dropped.push(`${droppedName}{plugin=${quoted(plugin)}} ${lost}`);
  }
  const texts = [...families.values()].map(
    ({ facts: { name, help, type }, lines }) =>
      `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n${lines.join('\n')}\n`,
  );
  const late = plugins.flatMap(({ name, late = 0 }) =>
    late > 0 ? [`${lateName}{plugin=${quoted(name)}} ${late}`] : [],
  );
  if (late.length > 0)
    texts.push(
      `# HELP ${lateName} Reconciles that did not return within 60 s.\n# TYPE ${lateName} counter\n${late.join('\n')}\n`,
    );
  if (dropped.length > 0)
    texts.push(
      `# HELP ${droppedName} Series that were not kept.\n# TYPE ${droppedName} counter\n${dropped.join('\n')}\n`,
    );
  return texts.join('');
}
function labelsOf({ labels }: MetricFacts, text: unknown): string[] | undefined {
  try {
    const values = JSON.parse(String(text)) as unknown;
    if (!Array.isArray(values) || values.length !== labels.length) return undefined;
    return labels.map((label, index) => `${label}=${quoted(String(values[index]).slice(0, labelLengthMax))}`);
  } catch {
    return undefined;
  }
}
const quoted = (text: string): string => `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
