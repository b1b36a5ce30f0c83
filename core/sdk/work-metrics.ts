import { type Clock, type MetricsPage, stepSeconds } from '#base';

/** What happens to the keys of one queue, under the names that every controller's metrics have. */
export class WorkMetrics {
  readonly #added: (by: number) => void;
  readonly #retried: (by: number) => void;
  readonly #waited: (seconds: number) => void;
  readonly #worked: (seconds: number) => void;
  readonly #outcome: (result: string) => void;
  /** When each waiting key came; bounded as the queue is. */
  readonly #since = new Map<string, number>();
  readonly #clock: Clock;

  constructor(page: MetricsPage, name: string, clock: Clock, depth: () => number) {
    this.#clock = clock;
    const label = ['name'];
    const own = [name];
    this.#added = page.counter('workqueue_adds_total', 'Keys that came into a queue.', label).at(own);
    this.#retried = page.counter('workqueue_retries_total', 'Keys that came again after a failure.', label).at(own);
    this.#waited = page
      .histogram('workqueue_queue_duration_seconds', 'How long keys waited for a worker.', label, stepSeconds)
      .at(own);
    this.#worked = page
      .histogram('workqueue_work_duration_seconds', 'How long a key was worked on.', label, stepSeconds)
      .at(own);
    const outcomes = page.counter('controller_runtime_reconcile_total', 'Reconciles by how they ended.', [
      'controller',
      'result',
    ]);
    this.#outcome = (result) => outcomes.add([name, result]);
    const depths = page.gauge('workqueue_depth', 'Keys that wait for a worker.', label);
    page.beforePrint(() => depths.set(own, depth()));
  }

  added(key: string): void {
    this.#added(1);
    this.#since.set(key, this.#clock.monotonicMs());
  }
  retried(): void {
    this.#retried(1);
  }
  /** A worker has it: resolves to what ends it. */
  begun(key: string): (result: 'success' | 'requeue_after' | 'error') => void {
    const now = this.#clock.monotonicMs();
    this.#waited((now - (this.#since.get(key) ?? now)) / 1000);
    this.#since.delete(key);
    return (result) => {
      this.#worked((this.#clock.monotonicMs() - now) / 1000);
      this.#outcome(result);
    };
  }
}
