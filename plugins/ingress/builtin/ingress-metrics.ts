import type { MetricsPage } from '#sdk';

const secondsBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const keptMax = 5_000;

/** What both drivers count, under the same names. Labels are of routes and backends, never of requests. */
export class IngressMetrics {
  readonly #requests;
  readonly #seconds;
  readonly #refused;
  readonly #failures;
  readonly #connections;
  readonly #applied;
  readonly #kept = new Map<string, { count: (by: number) => void; seconds: (value: number) => void }>();

  constructor(page: MetricsPage, connections: () => number) {
    this.#requests = page.counter('pintle_ingress_requests_total', 'Requests that were answered.', ['route', 'code']);
    this.#seconds = page.histogram(
      'pintle_ingress_request_duration_seconds',
      'From a request’s head to the end of its answer.',
      ['route'],
      secondsBounds,
    );
    this.#refused = page.counter('pintle_ingress_refused_requests_total', 'Requests that could not be read.', ['code']);
    this.#failures = page.counter('pintle_ingress_backend_failures_total', 'Endpoints that failed a request.', [
      'backend',
      'reason',
    ]);
    this.#connections = page.gauge('pintle_ingress_connections', 'Connections of clients.');
    this.#applied = page.counter('pintle_ingress_applied_total', 'Routings that were brought into force.');
    page.beforePrint(() => this.#connections.set([], connections()));
  }
  answered(route: string, status: number, seconds: number): void {
    const key = `${status} ${route}`;
    let kept = this.#kept.get(key);
    if (!kept) {
      if (this.#kept.size >= keptMax) this.#kept.clear();
      kept = { count: this.#requests.at([route, String(status)]), seconds: this.#seconds.at([route]) };
      this.#kept.set(key, kept);
    }
    kept.count(1);
    kept.seconds(seconds);
  }
  refused(status: number): void {
    this.#refused.add([String(status)]);
  }
  backendFailed(backend: string, reason: string): void {
    this.#failures.add([backend, reason]);
  }
  applied(): void {
    this.#applied.add();
  }
}
