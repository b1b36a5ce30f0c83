import type { Pod, PodStatus } from '#api';
import type { PodMemory } from './pod-memory.ts';
import type { PodTrace } from './pod-trace.ts';
import type { Probes } from './probes/probes.ts';
import { podStatus } from './status.ts';
import { StatusWriter } from './status-writer.ts';
import type { WorkerContext } from './worker-context.ts';

/** What one pod's worker says of it: the status as decided last, and its way to the API. */
export class PodReport {
  #writer: StatusWriter | undefined;
  #last: PodStatus | undefined;
  constructor(
    private readonly context: WorkerContext,
    private readonly own: { readonly memory: PodMemory; readonly trace: PodTrace },
    private readonly probes: Probes,
  ) {}

  /** As decided last; undefined before the first time. */
  get last(): PodStatus | undefined {
    return this.#last;
  }

  /** Decides the status anew and has it written. `ending`: containers that stopped will not start again. */
  write(pod: Readonly<Pod>, ending: boolean): void {
    const { clock, runtime, nodeIps } = this.context;
    const { probes } = this;
    const { memory, trace } = this.own;
    const known = this.#last ?? pod.status ?? {};
    const previous = { ...known, conditions: mergedConditions(pod, known) };
    this.#last = podStatus(pod, memory.observed, previous, {
      nowMs: clock.now(),
      hostIps: nodeIps(),
      podIps: memory.ips,
      runtimeName: runtime.name,
      isReady: (id, container) => probes.isReady(id, container),
      isStarted: (id, container) => probes.isStarted(id, container),
      waiting: (name) => memory.waiting.get(name),
      terminationMessage: (id) => memory.messages.get(id),
      end: memory.end,
      stopped: memory.stopped,
      ending,
    });
    this.#writer ??= new StatusWriter(pod, this.context);
    this.#writer.write(this.#last);
    trace.decided(this.#last, () => this.flushed());
  }

  /** Somebody else has changed our conditions since: what is decided next is written even if it says nothing new. */
  isOverwritten(status: PodStatus | undefined): boolean {
    return this.#writer?.isOverwritten(status) ?? false;
  }

  /** The API has no such pod any more. */
  giveUp(): void {
    this.#writer?.giveUp();
  }

  /** Resolves when nothing is left to write. */
  async flushed(): Promise<void> {
    await this.#writer?.flushed();
  }
}

/** Ours as written last, everybody else's as the API has them. */
function mergedConditions(pod: Readonly<Pod>, written: PodStatus) {
  const own = written.conditions ?? [];
  const gates = new Set(pod.spec?.readinessGates?.map(({ conditionType }) => conditionType));
  return [
    ...own.filter(({ type }) => !gates.has(type)),
    ...(pod.status?.conditions ?? []).filter(({ type }) => gates.has(type)),
  ];
}
