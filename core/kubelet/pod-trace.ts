import type { Pod } from '#api';
import { asStep, type Clock, type StepName, type Tracer } from '#base';

type Facts = Readonly<Record<string, string>>;
const isReady = (status: Pod['status']): boolean =>
  status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

/** The kubelet's steps in one pod's trace, from the first look at it to Ready. Later ones (restarts) are not told. */
export class PodTrace {
  readonly #fromMs: number;
  #readyFromMs: number;
  #isOpen: boolean;
  constructor(
    private readonly uid: string,
    private readonly options: { readonly tracer?: Tracer; readonly clock: Clock; readonly nodeName: string },
    pod: Readonly<Pod> | undefined,
  ) {
    this.#fromMs = options.tracer ? options.clock.now() : 0;
    this.#readyFromMs = this.#fromMs;
    this.#isOpen = options.tracer !== undefined && pod !== undefined && !isReady(pod.status);
  }

  /** `of`: such as the container's name. */
  run<T>(
    name: StepName,
    of: string,
    work: () => Promise<T>,
    facts: Facts = {},
    errorOf?: (result: T) => string | undefined,
  ): Promise<T> {
    if (!this.#isOpen) return work();
    const now = () => this.options.clock.now();
    // Attempts are steps of their own.
    const step = { uid: this.uid, name, of: `${of} ${now()}`, facts };
    return asStep(this.options.tracer, now, step, work, errorOf).finally(() => {
      if (name === 'container.start') this.#readyFromMs = now();
    });
  }
  /** The status as decided: `written` resolves when the API has it. */
  decided(status: Pod['status'], written: () => Promise<void>): void {
    if (!this.#isOpen) return;
    const hasEnded = status?.phase === 'Succeeded' || status?.phase === 'Failed';
    if (!isReady(status) && !hasEnded) return;
    this.#isOpen = false;
    const error = status?.phase === 'Failed' ? (status.message ?? 'it failed') : undefined;
    void written().then(() => this.#close(error));
  }
  /** It is taken away. */
  gone(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#close('deleted before it was ready');
  }

  #close(error: string | undefined): void {
    const { tracer, clock, nodeName } = this.options;
    const untilMs = clock.now();
    const { uid } = this;
    const facts = { 'k8s.node.name': nodeName };
    if (!error) tracer?.step({ uid, name: 'pod.ready', fromMs: this.#readyFromMs, untilMs });
    tracer?.step({ uid, name: 'pod.start', fromMs: this.#fromMs, untilMs, facts, error });
  }
}
