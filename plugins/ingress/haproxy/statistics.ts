import { MetricsPage } from '#sdk';

/**
 * HAProxy counts by place, in classes of statuses. The metrics have the names of the built-in driver's, with `backend` in
 * place of `route` and `2xx` in place of `200`.
 */
export interface PlaceStatistics {
  readonly place: string;
  /** `1xx` … `5xx` → answers. */
  readonly answers: ReadonlyMap<string, number>;
  readonly connectFailures: number;
  readonly answerFailures: number;
  /** Of the last 1,024 requests, on average. */
  readonly responseMs: number;
  readonly connections: number;
}
const classes = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** `show stat`: CSV with a header. Rows of frontends and backends, without those of servers. Pure. */
export function parseStatistics(text: string): { frontends: PlaceStatistics[]; backends: PlaceStatistics[] } {
  const [head = '', ...lines] = text.split('\n');
  const columns = head.replace(/^# /, '').split(',');
  const rows = { frontends: [] as PlaceStatistics[], backends: [] as PlaceStatistics[] };
  for (const line of lines) {
    const values = line.split(',');
    const of = (name: string): string => values[columns.indexOf(name)] ?? '';
    const number = (name: string): number => Number(of(name)) || 0;
    const row: PlaceStatistics = {
      place: of('pxname'),
      answers: new Map(classes.map((name) => [name, number(`hrsp_${name}`)])),
      connectFailures: number('econ'),
      answerFailures: number('eresp'),
      responseMs: number('rtime'),
      connections: number('scur'),
    };
    if (of('svname') === 'FRONTEND') rows.frontends.push(row);
    if (of('svname') === 'BACKEND') rows.backends.push(row);
  }
  return rows;
}

/** What was answered without a backend is counted with backend="". */
export class HaproxyMetrics {
  readonly #requests;
  readonly #failures;
  readonly #seconds;
  readonly #connections;
  readonly #applied;
  readonly #reloads;

  readonly #page: MetricsPage;
  /** Counter and labels → what the program had counted when it was last asked. */
  readonly #seen = new Map<string, number>();

  constructor(startedMs: number) {
    const page = new MetricsPage(startedMs);
    this.#page = page;
    this.#requests = page.counter('pintle_ingress_requests_total', 'Requests that were answered.', ['backend', 'code']);
    this.#failures = page.counter('pintle_ingress_backend_failures_total', 'Endpoints that failed a request.', [
      'backend',
      'reason',
    ]);
    this.#seconds = page.gauge(
      'pintle_ingress_backend_response_seconds',
      'Until the first byte of an answer, on average of the last 1,024 requests.',
      ['backend'],
    );
    this.#connections = page.gauge('pintle_ingress_connections', 'Connections of clients.');
    this.#applied = page.counter('pintle_ingress_applied_total', 'Routings that were brought into force.');
    this.#reloads = page.counter('pintle_ingress_reloads_total', 'Processes that took over from the one before.');
  }
  print(): string {
    return this.#page.text();
  }
  /** Another process counts from nothing. */
  begun(): void {
    this.#seen.clear();
  }
  #raise(
    counter: { add(labels: readonly string[], by: number): void },
    name: string,
    labels: readonly string[],
    count: number,
  ): void {
    const key = [name, ...labels].join('\0');
    const by = count - (this.#seen.get(key) ?? 0);
    if (by <= 0) return;
    this.#seen.set(key, count);
    counter.add(labels, by);
  }
  applied(isReload: boolean): void {
    this.#applied.add();
    if (isReload) this.#reloads.add();
  }
  /** As the counters of the program stand now. `backends`: place → backend. */
  take(text: string, backends: ReadonlyMap<string, string>): void {
    const { frontends, backends: rows } = parseStatistics(text);
    const own = new Map<string, number>();
    for (const { answers } of frontends)
      for (const [code, count] of answers) own.set(code, (own.get(code) ?? 0) + count);
    for (const { place, answers, connectFailures, answerFailures, responseMs } of rows) {
      const backend = backends.get(place);
      for (const [code, count] of answers) {
        own.set(code, (own.get(code) ?? 0) - count);
        if (backend !== undefined) this.#raise(this.#requests, 'requests', [backend, code], count);
      }
      if (backend === undefined) continue;
      this.#raise(this.#failures, 'failures', [backend, 'connect'], connectFailures);
      this.#raise(this.#failures, 'failures', [backend, 'broken'], answerFailures);
      this.#seconds.set([backend], responseMs / 1_000);
    }
    for (const [code, count] of own) this.#raise(this.#requests, 'requests', ['', code], Math.max(0, count));
    this.#connections.set(
      [],
      frontends.reduce((sum, { connections }) => sum + connections, 0),
    ); // prettier-ignore
  }
}
