import type { Container, Probe } from '#api';
import type { Clock, Random } from '#base';
import type { ContainerRuntime } from '#sdk';
import { runHandler } from '../handlers.ts';
import { judge, noRun } from './verdict.ts';

export type ProbeType = 'liveness' | 'readiness' | 'startup';
const fields = { liveness: 'livenessProbe', readiness: 'readinessProbe', startup: 'startupProbe' } as const;

export interface ProbeTarget {
  readonly containerId: string;
  readonly container: Container;
  readonly podIp: string;
  readonly startedAtMs: number;
  /** What the API said of this very container before this kubelet started: it keeps its readiness until a probe says otherwise. */
  readonly before?: { readonly ready: boolean; readonly started: boolean };
}
interface Watched {
  readonly target: ProbeTarget;
  readonly abort: AbortController;
  ready: boolean;
  started: boolean;
  failed?: 'liveness' | 'startup';
  /** Wakes readiness and liveness when startup has passed. */
  readonly startedSignal: AbortController;
}

/** The probes of one pod's containers. Results are asked for; `onChange` says that one has changed. */
export class Probes implements Disposable {
  readonly #watched = new Map<string, Watched>();
  constructor(
    private readonly options: {
      readonly runtime: ContainerRuntime;
      readonly clock: Clock;
      readonly random: Random;
      readonly agent: string;
      onChange(): void;
      /** An Unhealthy or ProbeWarning event. */
      onEvent(container: string, reason: 'Unhealthy' | 'ProbeWarning', message: string): void;
    },
  ) {}

  isReady(id: string, container: Container): boolean {
    return container.readinessProbe ? (this.#watched.get(id)?.ready ?? false) : true;
  }
  isStarted(id: string, container: Container): boolean {
    return container.startupProbe ? (this.#watched.get(id)?.started ?? false) : true;
  }
  failed(id: string): 'liveness' | 'startup' | undefined {
    return this.#watched.get(id)?.failed;
  }

  /** Takes the containers that run now: probes of others end. While the pod is being deleted only readiness goes on. */
  sync(targets: readonly ProbeTarget[], deleting: boolean): void {
    const wanted = new Set(targets.map(({ containerId }) => containerId));
    for (const [id, watched] of this.#watched)
      if (!wanted.has(id)) {
        watched.abort.abort();
        this.#watched.delete(id);
      }
    for (const target of targets) if (!this.#watched.has(target.containerId)) this.#begin(target, deleting);
    if (deleting) for (const watched of this.#watched.values()) watched.failed = undefined;
  }

  [Symbol.dispose](): void {
    this.sync([], true);
  }

  #begin(target: ProbeTarget, deleting: boolean): void {
    const { container, before } = target;
    const watched: Watched = {
      target,
      abort: new AbortController(),
      ready: before?.ready ?? false,
      started: !container.startupProbe || (before?.started ?? false),
      startedSignal: new AbortController(),
    };
    if (watched.started) watched.startedSignal.abort();
    this.#watched.set(target.containerId, watched);
    for (const type of ['startup', 'readiness', 'liveness'] as const) {
      const probe = container[fields[type]];
      if (!probe || (type === 'startup' && watched.started) || (deleting && type !== 'readiness')) continue;
      void this.#loop(watched, type, probe);
    }
  }

  async #loop(watched: Watched, type: ProbeType, probe: Probe): Promise<void> {
    const { clock, random } = this.options;
    const signal = watched.abort.signal;
    const periodMs = (probe.periodSeconds ?? 10) * 1000;
    if (watched.target.before) await clock.sleep(random.next() * periodMs, signal); // not all at once after a restart of the kubelet
    if (type !== 'startup') await waitFor(watched.startedSignal.signal, signal);
    const delayMs = watched.target.startedAtMs + (probe.initialDelaySeconds ?? 0) * 1000 - clock.now();
    if (delayMs > 0) await clock.sleep(delayMs, signal);
    let run = noRun;
    while (!signal.aborted) {
      const beganMs = clock.monotonicMs();
      const ok = await this.#once(watched, type, probe);
      if (signal.aborted) return;
      const judged = judge(run, ok, probe);
      run = judged.run;
      if (judged.verdict !== undefined && this.#apply(watched, type, judged.verdict)) return;
      await clock.sleep(Math.max(0, periodMs - (clock.monotonicMs() - beganMs)), signal);
    }
  }

  async #once(watched: Watched, type: ProbeType, probe: Probe): Promise<boolean> {
    const { runtime, clock, agent, onEvent } = this.options;
    const { containerId, container, podIp } = watched.target;
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
    const result = await runHandler(probe, {
      containerId,
      container,
      podIp,
      runtime,
      clock,
      timeoutMs,
      agent,
      signal: watched.abort.signal,
    });
    if (watched.abort.signal.aborted) return result.ok;
    const title = type[0]!.toUpperCase() + type.slice(1);
    if (!result.ok) onEvent(container.name, 'Unhealthy', `${title} probe failed: ${result.output}`);
    else if (result.warning) onEvent(container.name, 'ProbeWarning', `${title} probe warning: ${result.warning}`);
    return result.ok;
  }

  /** True when this probe has nothing more to say about this container. */
  #apply(watched: Watched, type: ProbeType, ok: boolean): boolean {
    if (type === 'readiness') {
      if (watched.ready === ok) return false;
      watched.ready = ok;
      this.options.onChange();
      return false;
    }
    if (type === 'startup' && ok) {
      watched.started = true;
      watched.startedSignal.abort();
    } else if (!ok) watched.failed = type;
    else return false;
    this.options.onChange();
    return true;
  }
}

const waitFor = (wanted: AbortSignal, end: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (wanted.aborted || end.aborted) return resolve();
    wanted.addEventListener('abort', () => resolve(), { once: true });
    end.addEventListener('abort', () => resolve(), { once: true });
  });
