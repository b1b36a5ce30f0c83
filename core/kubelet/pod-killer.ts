import type { Pod } from '#api';
import type { ContainerState } from '#sdk';
import { runHandler } from './handlers.ts';
import { fieldPathOf, type PodContainer } from './names.ts';
import type { WorkerContext } from './worker-context.ts';

/** No process is cut off at once, however short the grace. */
export const graceMinMs = 2_000;

/** Ends containers gracefully. A shorter deadline may arrive while it works. */
export class PodKiller {
  readonly #stopping = new Map<string, { deadlineMs: number; abort: AbortController }>();
  constructor(private readonly context: WorkerContext) {}

  get isBusy(): boolean {
    return this.#stopping.size > 0;
  }

  /** The preStop hook, then the signal, then the kill; all within the grace. Resolves when the container has ended. */
  async stop(
    pod: Readonly<Pod> | undefined,
    container: PodContainer | undefined,
    id: string,
    podIp: string,
    graceMs: number,
    message: string,
  ): Promise<void> {
    const { clock, events, runtime, agent } = this.context;
    const entry = { deadlineMs: clock.now() + graceMs, abort: new AbortController() };
    this.#stopping.set(id, entry);
    try {
      if (pod && container) events.event(pod, 'Normal', 'Killing', message, fieldPathOf(container));
      const hook = container?.spec.lifecycle?.preStop;
      if (pod && container && hook && graceMs > 0) {
        const timeoutMs = graceMs;
        const result = await runHandler(hook, {
          containerId: id,
          container: container.spec,
          podIp,
          runtime,
          clock,
          timeoutMs,
          signal: entry.abort.signal,
          agent,
        });
        if (!result.ok && !entry.abort.signal.aborted)
          events.event(pod, 'Warning', 'FailedPreStopHook', 'PreStopHook failed', fieldPathOf(container));
      }
      await runtime.stop(id, Math.max(graceMinMs, entry.deadlineMs - clock.now()));
    } finally {
      this.#stopping.delete(id);
    }
  }

  /** Everything that is being stopped now must end sooner. */
  hurry(graceMs: number): void {
    const deadlineMs = this.context.clock.now() + graceMs;
    for (const [id, entry] of this.#stopping) {
      if (deadlineMs >= entry.deadlineMs) continue;
      entry.deadlineMs = deadlineMs;
      entry.abort.abort();
      void this.context.runtime.stop(id, Math.max(graceMinMs, graceMs)).catch(() => {});
    }
  }

  /** The pod's containers side by side, then its sidecars, the last first, in what is left of the grace. */
  async stopAll(
    pod: Readonly<Pod> | undefined,
    all: readonly PodContainer[],
    running: readonly ContainerState[],
    podIp: string,
    graceMs: number,
  ): Promise<void> {
    const { clock } = this.context;
    const deadlineMs = clock.now() + graceMs;
    const of = (state: ContainerState) => all.find(({ spec }) => spec.name === state.name);
    const stop = (state: ContainerState) =>
      this.stop(
        pod,
        of(state),
        state.id,
        podIp,
        Math.max(0, deadlineMs - clock.now()),
        `Stopping container ${state.name}`,
      );
    await Promise.all(running.filter((state) => of(state)?.role !== 'sidecar').map(stop));
    const order = all.filter(({ role }) => role === 'sidecar').reverse();
    for (const { spec } of order) {
      const state = running.find(({ name }) => name === spec.name);
      if (state) await stop(state);
    }
  }
}
