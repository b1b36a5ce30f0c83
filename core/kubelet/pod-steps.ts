import type { Pod } from '#api';
import { messageOf } from '#base';
import { containersOf } from './names.ts';
import type { Action } from './plan.ts';
import { graceMinMs, type PodKiller } from './pod-killer.ts';
import type { PodMemory } from './pod-memory.ts';
import type { PodStarter } from './pod-starter.ts';
import type { PodTrace } from './pod-trace.ts';
import type { PodVolumes } from './volumes/volumes.ts';
import type { WorkerContext } from './worker-context.ts';

const volumesRetryMs = 30_000;
const graceDefaultSeconds = 30;
export const graceMsOf = (pod: Readonly<Pod>): number =>
  (pod.spec?.terminationGracePeriodSeconds ?? graceDefaultSeconds) * 1000;

/** Takes the steps that the plan decided on, for one pod. */
export class PodSteps {
  /** What live volumes are made from has changed. */
  volumesDirty = false;
  constructor(
    private readonly uid: string,
    private readonly context: WorkerContext,
    private readonly own: { readonly memory: PodMemory; readonly trace: PodTrace },
    private readonly starter: PodStarter,
    private readonly killer: PodKiller,
    private readonly volumes: PodVolumes,
  ) {}

  async perform(pod: Readonly<Pod>, step: Action, signal: AbortSignal): Promise<void> {
    const { memory } = this.own;
    switch (step.type) {
      case 'createSandbox':
        return this.#createSandbox(pod, Math.max(step.attempt, memory.sandboxAttempt), signal);
      case 'replaceSandbox':
        return this.#replaceSandbox(pod);
      case 'start':
        return this.#start(pod, step, signal);
      case 'stop': {
        const graceMs = step.graceSeconds === undefined ? graceMsOf(pod) : step.graceSeconds * 1000;
        return this.killer.stop(pod, step.container, step.id, memory.ips[0] ?? '', graceMs, step.message);
      }
      case 'remove':
        return this.context.runtime.remove(step.id);
      case 'finish':
        memory.end = { phase: step.phase };
    }
  }

  async #createSandbox(pod: Readonly<Pod>, attempt: number, signal: AbortSignal): Promise<void> {
    const { memory } = this.own;
    const first = containersOf(pod).filter(({ role }) => role !== 'ephemeral');
    this.starter.prefetch(pod, first, signal);
    const volumes = memory.volumePaths ? Promise.resolve() : this.#prepareVolumes(pod);
    volumes.catch(() => {}); // seen below, after the sandbox
    try {
      const { sandbox, ips } = await this.starter.sandbox(pod, attempt);
      memory.ips = ips;
      memory.observed = { ...memory.observed, sandbox };
    } catch (error) {
      const text = `Failed to create pod sandbox: ${messageOf(error)}`;
      this.context.events.event(pod, 'Warning', 'FailedCreatePodSandBox', text);
      throw error;
    }
    await volumes;
  }

  async #replaceSandbox(pod: Readonly<Pod>): Promise<void> {
    const text = 'Pod sandbox changed, it will be killed and re-created.';
    this.context.events.event(pod, 'Normal', 'SandboxChanged', text);
    await this.stopAll(pod, graceMinMs);
    await this.removeSandbox();
    this.own.memory.sandboxAttempt++;
  }

  /** Stops what runs. True: something ran. */
  async stopAll(pod: Readonly<Pod> | undefined, graceMs: number): Promise<boolean> {
    const { observed, ips } = this.own.memory;
    const running = observed.containers.filter(({ state }) => state === 'running');
    await this.killer.stopAll(pod, pod ? containersOf(pod) : [], running, ips[0] ?? '', graceMs);
    return running.length > 0;
  }

  async removeSandbox(): Promise<void> {
    const { runtime, podNetwork } = this.context;
    await podNetwork?.detach({ uid: this.uid, netnsPath: this.own.memory.observed.sandbox?.netnsPath });
    await runtime.removeSandbox(this.uid);
    this.own.memory.ips = [];
  }

  /** The pod has ended by itself: its address, processes and volumes are given back; containers stay for their logs. */
  async release(): Promise<void> {
    const { runtime, podNetwork } = this.context;
    const { memory } = this.own;
    if (memory.released) return;
    await podNetwork?.detach({ uid: this.uid, netnsPath: memory.observed.sandbox?.netnsPath });
    await runtime.endSandbox(this.uid);
    await this.volumes.removeVolumes();
    memory.observed = { containers: memory.observed.containers };
    memory.released = true;
  }

  async #start(pod: Readonly<Pod>, step: Extract<Action, { type: 'start' }>, signal: AbortSignal): Promise<void> {
    const { memory } = this.own;
    const name = step.container.spec.name;
    if (!memory.volumePaths) await this.#prepareVolumes(pod);
    const place = { sandbox: memory.observed.sandbox!, ips: memory.ips, volumePaths: memory.volumePaths! };
    const result = await this.starter.start(pod, step, place, signal);
    if (result.ok === false) {
      memory.waiting.set(name, { reason: result.reason, message: result.message });
      memory.retryAtMs.set(name, result.retryAtMs);
      return;
    }
    memory.waiting.delete(name);
    memory.retryAtMs.delete(name);
    if (result.ok === true) return;
    memory.waiting.set(name, { reason: 'PostStartHookError', message: result.message });
    const podIp = memory.ips[0] ?? '';
    await this.killer.stop(pod, step.container, result.id, podIp, graceMsOf(pod), 'FailedPostStartHook');
  }

  /** Writes live volumes anew when their sources changed or a token is due; makes those of an adopted pod known. */
  async refreshVolumes(pod: Readonly<Pod>): Promise<void> {
    const { memory } = this.own;
    const { clock, log } = this.context;
    if (!memory.volumePaths) {
      if (memory.observed.containers.some(({ state }) => state === 'running')) await this.#prepareVolumes(pod); // adopted
      return;
    }
    if (!this.volumesDirty && memory.renewAtMs > clock.monotonicMs()) return;
    this.volumesDirty = false;
    try {
      memory.renewAtMs = (await this.volumes.prepare(pod, this.starter.facts(memory.ips), true)).renewAtMs;
    } catch (error) {
      log.warn('volumes of a running pod not refreshed', { pod: pod.metadata.name, error });
      memory.renewAtMs = clock.monotonicMs() + volumesRetryMs;
    }
  }

  async #prepareVolumes(pod: Readonly<Pod>): Promise<void> {
    const { memory } = this.own;
    try {
      const prepare = () => this.volumes.prepare(pod, this.starter.facts(memory.ips));
      const { paths, renewAtMs } = await this.own.trace.run('pod.volumes', '', prepare);
      memory.volumePaths = paths;
      memory.renewAtMs = renewAtMs;
    } catch (error) {
      this.context.events.event(pod, 'Warning', 'FailedMount', messageOf(error));
      throw error;
    }
  }
}
