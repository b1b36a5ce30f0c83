import { type MetricsPage, stepSeconds } from '#base';
import type { Outcome } from './cycle.ts';

interface Sizes {
  readonly active: number;
  readonly backoff: number;
  readonly unschedulable: number;
}

/** What the scheduler decides and how long it takes, under upstream's names. */
export class SchedulerMetrics {
  readonly #attempts;
  readonly #durations;
  readonly #preemptions;
  constructor(
    page: MetricsPage,
    private readonly profile: string,
    sizes: () => Sizes,
  ) {
    const labels = ['result', 'profile'];
    this.#attempts = page.counter('scheduler_schedule_attempts_total', 'Decisions by how they ended.', labels);
    this.#durations = page.histogram(
      'scheduler_scheduling_attempt_duration_seconds',
      'Time of a decision, without its binding.',
      labels,
      stepSeconds,
    );
    this.#preemptions = page.counter('scheduler_preemption_attempts_total', 'Times that pods were to make room.');
    const pending = page.gauge('scheduler_pending_pods', 'Pods that want a node, by what they wait for.', ['queue']);
    page.beforePrint(() => {
      for (const [queue, size] of Object.entries(sizes())) pending.set([queue], size);
    });
  }

  /** Counted at once when nobody takes it; one that has a node counts when it is bound. */
  decided(outcome: Outcome, seconds: number): void {
    const result = outcome.type === 'none' ? 'unschedulable' : 'scheduled';
    this.#durations.observe([result, this.profile], seconds);
    if (outcome.type !== 'none') return;
    this.#attempts.add([result, this.profile]);
    if (outcome.preemption) this.#preemptions.add();
  }
  bound(): void {
    this.#attempts.add(['scheduled', this.profile]);
  }
  failed(): void {
    this.#attempts.add(['error', this.profile]);
  }
}
