import { Counter, Gauge, Histogram, metricsText } from './metrics.ts';

/** What the operating system says of this process, and when it began (milliseconds since 1970). */
export class ProcessMetrics {
  readonly #memory = new Gauge('process_resident_memory_bytes', 'Resident memory.', []);
  readonly #cpu = new Counter('process_cpu_seconds_total', 'User and system time.', []);
  readonly #started = new Gauge('process_start_time_seconds', 'When the process began, since the epoch.', []);
  #cpuSeconds = 0;
  readonly all = [this.#memory, this.#cpu, this.#started] as const;

  constructor(startedMs: number) {
    this.#started.set([], Math.floor(startedMs / 1000));
  }
  refresh(): void {
    const { user, system } = process.cpuUsage();
    const seconds = (user + system) / 1e6;
    this.#cpu.add([], seconds - this.#cpuSeconds);
    this.#cpuSeconds = seconds;
    this.#memory.set([], process.memoryUsage().rss);
  }
}

/** The metrics of one process, made by those who count. A name has one maker: asking again gives the same metric. */
export class MetricsPage {
  readonly #metrics = new Map<string, Counter | Gauge | Histogram>();
  readonly #before: (() => void)[] = [];
  readonly #foreign: (() => string)[] = [];
  readonly #process: ProcessMetrics;

  constructor(startedMs: number) {
    this.#process = new ProcessMetrics(startedMs);
  }
  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    return this.#known(name, () => new Counter(name, help, labels));
  }
  gauge(name: string, help: string, labels: readonly string[] = []): Gauge {
    return this.#known(name, () => new Gauge(name, help, labels));
  }
  /** `bounds`: upper ends, ascending, without infinity. */
  histogram(name: string, help: string, labels: readonly string[], bounds: readonly number[]): Histogram {
    return this.#known(name, () => new Histogram(name, help, labels, bounds));
  }
  /** Before each print, for gauges that are read rather than counted. */
  beforePrint(refresh: () => void): void {
    this.#before.push(refresh);
  }
  /** Metrics in their text form, of a process that works for this one. Their names are no one's here. */
  foreign(read: () => string): void {
    this.#foreign.push(read);
  }
  text(): string {
    const own = metricsText([...this.#metrics.values(), ...this.#process.all], () => {
      this.#process.refresh();
      for (const refresh of this.#before) refresh();
    });
    return [own, ...this.#foreign.map((read) => read())].filter(Boolean).join('');
  }

  #known<M extends Counter | Gauge | Histogram>(name: string, make: () => M): M {
    const known = this.#metrics.get(name) as M | undefined;
    if (known) return known;
    const made = make();
    this.#metrics.set(name, made);
    return made;
  }
}

/** Seconds that a step of a controller, a proxy or a scheduler takes. */
export const stepSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
