import type { Pod } from '#api';
import { asStep, type Clock, type Tracer } from '#base';
import type { Outcome } from './cycle.ts';

const waitingMax = 10_000;

/** The scheduler's steps in the traces of pods. */
export class SchedulingTrace {
  /** Since when each pod waits, by uid. */
  readonly #since = new Map<string, number>();
  constructor(
    private readonly tracer: Tracer,
    private readonly clock: Clock,
  ) {}

  waits({ metadata: { uid = '' } }: Readonly<Pod>): void {
    if (this.#since.has(uid) || this.#since.size >= waitingMax) return;
    this.#since.set(uid, this.clock.now());
  }
  left(uid: string): void {
    this.#since.delete(uid);
  }
  decided({ metadata: { uid = '' } }: Readonly<Pod>, fromMs: number, outcome: Outcome): void {
    const facts: Record<string, string> = outcome.type === 'none' ? {} : { 'k8s.node.name': outcome.node };
    const error = outcome.type === 'none' ? outcome.message : undefined;
    this.tracer.step({ uid, name: 'pod.decide', of: `${fromMs}`, fromMs, untilMs: this.clock.now(), facts, error });
  }
  /** Runs the binding; when it holds, the pod's wait for a node is over. */
  async bound({ metadata: { uid = '' } }: Readonly<Pod>, node: string, bind: () => Promise<void>): Promise<void> {
    const now = () => this.clock.now();
    const fromMs = this.#since.get(uid) ?? now();
    await asStep(this.tracer, now, { uid, name: 'pod.bind', of: `${now()}`, facts: { 'k8s.node.name': node } }, bind);
    this.left(uid);
    this.tracer.step({ uid, name: 'pod.schedule', fromMs, untilMs: now(), facts: { 'k8s.node.name': node } });
  }
}
