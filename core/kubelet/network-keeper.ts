import type { Clock, Log } from '#base';
import type { PodNetwork } from '#net/pod';

/** How long traffic of pods may stay cut off when somebody else took our rules away without a sign. */
export const mendEveryMs = 30_000;

/**
 * Keeps the host side of the pod network: an engine that restarts puts its DROP policy back, an administrator flushes
 * tables. So `prepare()`, which mends what is missing, is called again in a bounded period and when the engine came back.
 */
export class NetworkKeeper {
  #running: Promise<void> | undefined;
  #again = false;
  constructor(
    private readonly options: {
      readonly network?: PodNetwork;
      readonly clock: Clock;
      readonly log: Log;
      readonly signal: AbortSignal;
    },
  ) {}

  /** One at a time: a call while one runs asks for another one after it. Never throws. */
  mend(): Promise<void> {
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    const { network, log, signal } = this.options;
    while (this.#again && !signal.aborted) {
      this.#again = false;
      await network?.prepare().catch((error) => log.error('pod network not ready', { error }));
    }
  }

  /** Until the signal aborts. */
  async keep(): Promise<void> {
    const { network, clock, signal } = this.options;
    while (network && !signal.aborted) {
      await clock.sleep(mendEveryMs, signal);
      if (!signal.aborted) await this.mend();
    }
  }
}
