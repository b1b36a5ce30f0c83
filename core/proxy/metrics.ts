import { type Clock, type MetricsPage, stepSeconds } from '#base';

/** How the service proxy keeps up, under upstream's names. */
export class ProxyMetrics {
  readonly #durations;
  readonly #last;
  readonly #failures;
  constructor(
    page: MetricsPage,
    private readonly clock: Clock,
    services: () => number,
  ) {
    this.#durations = page.histogram(
      'kubeproxy_sync_proxy_rules_duration_seconds',
      'Time to bring rules up to date.',
      [],
      stepSeconds,
    );
    this.#last = page.gauge('kubeproxy_sync_proxy_rules_last_timestamp_seconds', 'When rules were brought up to date.');
    this.#failures = page.counter('kubeproxy_sync_proxy_rules_failures_total', 'Times that rules were not accepted.');
    const served = page.gauge('kubeproxy_services', 'Services that have routes.');
    page.beforePrint(() => served.set([], services()));
  }
  /** What it returns is called when the rules are in force. */
  begin(): () => void {
    const beganMs = this.clock.monotonicMs();
    return () => {
      this.#durations.observe([], (this.clock.monotonicMs() - beganMs) / 1000);
      this.#last.set([], this.clock.now() / 1000);
    };
  }
  failed(): void {
    this.#failures.add();
  }
}
