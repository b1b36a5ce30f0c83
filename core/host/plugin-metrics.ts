import type { Counter, Gauge, Metrics } from '#sdk';

const seriesMax = 200;
/** Counters and gauges of one plugin, by their declared names. Asking for a name again gives the same one; more than 200 are refused. */
export class PluginMetrics implements Metrics {
  readonly #series = new Map<string, { readonly type: 'counter' | 'gauge'; readonly help: string; value: number }>();

  counter(name: string, help: string): Counter {
    const series = this.#named(name, 'counter', help);
    return { inc: (by = 1) => void (series.value += Math.max(0, by)) };
  }
  gauge(name: string, help: string): Gauge {
    const series = this.#named(name, 'gauge', help);
    return { set: (value) => void (series.value = value) };
  }
  /** name → value. */
  values(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#series].map(([name, { value }]) => [name, value]));
  }

  names(): string[] {
    return [...this.#series.keys()];
  }

  #named(name: string, type: 'counter' | 'gauge', help: string) {
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) throw new Error(`metrics: "${name}" is no name of a metric`);
    const found = this.#series.get(name);
    if (found && found.type !== type) throw new Error(`metrics: ${name} is a ${found.type} already`);
    if (!found && this.#series.size >= seriesMax) throw new Error(`metrics: more than ${seriesMax} are not kept`);
    const series = found ?? { type, help, value: 0 };
    this.#series.set(name, series);
    return series;
  }
}
